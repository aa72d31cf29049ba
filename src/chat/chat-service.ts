import { ServiceError, reportOf } from "../core/errors.ts";
import { randomId } from "../core/ids.ts";
import { parseMessage, type MessageSyntax } from "../protocol/command-syntax.ts";
import type { Turn } from "../core/fit-prompt.ts";
import type { AnswerOutcome, AnswerReader } from "./answer-log.ts";
import type { Watcher } from "./abandon-timer.ts";
import type { ChatServiceOptions } from "./chat-options.ts";
import { findCommand, nearestCommand } from "./commands/command-table.ts";
import { ConversationLanes } from "./conversation-lanes.ts";
import type { MessageKey } from "./conversation-store.ts";
import { StopReason } from "./generation.ts";
import { respond } from "./respond.ts";
import { RunningAnswer, type Submission, type AnswerHandle } from "./running-answer.ts";
import { RunningAnswers } from "./running-answers.ts";

/** Names a running answer of a client. */
export type AnswerName = { readonly answer: string } | { readonly id: string; readonly conversation: string };

/** A lease outlives any answer; it only matters when a process dies. */
const LEASE_MS = 600_000;

const noWatcher: Watcher = { setStalled() {}, leave() {} };

/** Turns messages into answers: ids, order, commands, generation, history. Sessions watch the log it writes. */
export class ChatService {
  readonly #options: ChatServiceOptions;
  readonly #lanes: ConversationLanes<RunningAnswer>;
  readonly #running = new RunningAnswers();
  /** Answers whose id is being claimed: who joins one meanwhile waits until it runs or was refused. */
  readonly #starting = new Map<string, Promise<void>>();
  #accepting = true;

  constructor(options: ChatServiceOptions) {
    this.#options = options;
    const { maxPendingMessages: maxPending, maxActiveAnswersPerClient: maxActivePerClient } =
      options.settings;
    this.#lanes = new ConversationLanes({ maxPending, maxActivePerClient });
    options.metrics.gauge("answers_running", "Answers that run or wait", () => this.#running.count);
    options.metrics.gauge(
      "messages_pending",
      "Messages behind others of their conversation",
      () => this.#lanes.waiting,
    );
  }

  /**
   * Takes a message. The same message again (by id and hash) gives the handle of the same answer.
   * @throws ServiceError `busy`, `overloaded`, `draining`, `id_conflict`, `unknown_command`.
   */
  async submit(submission: Submission): Promise<AnswerHandle> {
    const syntax = parseMessage(submission.message);
    const answer = randomId();
    const key = keyOf(submission);
    if (key === null) return this.#begin(submission, syntax, answer, null);
    let started = (): void => {};
    this.#starting.set(answer, new Promise((resolve) => (started = resolve)));
    try {
      const joined = await this.#claim(key, submission.hash, answer);
      return joined ?? this.#begin(submission, syntax, answer, key);
    } catch (error) {
      // Changes nothing where the id is another answer's.
      await this.#options.store.settle(key, answer, 0);
      throw error;
    } finally {
      this.#starting.delete(answer);
      started();
    }
  }

  /** A handle of an answer of this client that runs, waits or is kept; undefined when there is none (any more). */
  async watch(client: string, answer: string): Promise<AnswerHandle | undefined> {
    const running = this.#running.find(client, answer);
    if (running !== undefined) return running;
    const reader = await this.#options.log.find(client, answer);
    return reader && { reader, watch: () => noWatcher };
  }

  /** The turns of a conversation, oldest first, and its answers that run or wait. */
  async history(
    client: string,
    conversation: string,
  ): Promise<{ turns: readonly Turn[]; running: readonly AnswerReader[] }> {
    for (;;) {
      const before = this.#runningIn(client, conversation);
      const turns = await this.#options.store.turns(client, conversation);
      const running = this.#runningIn(client, conversation);
      // One that ended meanwhile would be in neither list.
      if (before.every((reader) => running.includes(reader))) return { turns, running };
    }
  }

  /** Stops an answer of this client; what it has so far is kept. False when none of that name runs. */
  cancel(client: string, name: AnswerName): boolean {
    for (const running of this.#running.of(client)) {
      const { meta } = running.reader;
      const meant =
        "answer" in name
          ? meta.answer === name.answer
          : meta.id === name.id && meta.conversation === name.conversation;
      if (!meant) continue;
      this.#stop(running, "cancelled");
      return true;
    }
    return false;
  }

  /** From now on new messages are refused with `draining`; those taken run on. */
  stopAccepting(): void {
    this.#accepting = false;
  }

  /** Resolves when no answer runs or waits. */
  whenIdle(): Promise<void> {
    return this.#running.whenNone();
  }

  /** Ends every answer at once, as cancelled. */
  stopAll(): void {
    for (const running of [...this.#running.all()]) this.#stop(running, "cancelled");
  }

  #runningIn(client: string, conversation: string): AnswerReader[] {
    return [...this.#running.of(client)]
      .map(({ reader }) => reader)
      .filter(({ meta }) => meta.conversation === conversation);
  }

  async #claim(key: MessageKey, hash: string, answer: string): Promise<AnswerHandle | undefined> {
    const { store } = this.#options;
    for (;;) {
      const claim = await store.claim(key, hash, answer);
      if (claim.kind === "new") return undefined;
      if (claim.kind === "conflict") {
        throw new ServiceError(
          "id_conflict",
          `The id ${JSON.stringify(key.id)} was used for another message.`,
        );
      }
      const starting = this.#starting.get(claim.answer);
      if (starting !== undefined) {
        await starting;
        continue;
      }
      const handle = await this.watch(key.client, claim.answer);
      if (handle !== undefined) return handle;
      // Its text made room for others: the id is free, and this frame may begin anew.
      await store.settle(key, claim.answer, 0);
    }
  }

  #begin(
    submission: Submission,
    syntax: MessageSyntax,
    answer: string,
    key: MessageKey | null,
  ): RunningAnswer {
    const { log, clock, settings, provider, remedy } = this.#options;
    const { owner, conversation } = submission;
    if (!this.#accepting)
      throw new ServiceError("draining", "The server is about to restart; reconnect and try again.");
    const command = commandOf(syntax);
    if (command === null && provider === null) throw new ServiceError("no_provider", remedy);
    this.#lanes.check(owner.client, conversation);
    const id = submission.id ?? answer;
    const writer = log.create({
      answer,
      id,
      client: owner.client,
      accountKey: owner.accountKey,
      conversation,
      command,
    });
    const running = new RunningAnswer({ submission, syntax, writer, key }, clock, settings.abandonMs, {
      run: (it) => this.#run(it),
      abandoned: (it) => this.#abandon(it),
    });
    this.#running.add(running);
    this.#lanes.enter(owner.client, conversation, running);
    return running;
  }

  async #run(running: RunningAnswer): Promise<void> {
    const { store, logger } = this.#options;
    const { owner, conversation } = running.submission;
    let outcome: AnswerOutcome;
    let release: (() => void) | undefined;
    try {
      release = await store.lease(owner.client, conversation, LEASE_MS);
      running.signal.throwIfAborted();
      outcome = await respond(running, this.#options);
    } catch (error) {
      outcome = this.#outcomeOf(error, running);
      if (outcome.type === "error" && !(error instanceof ServiceError)) {
        logger.error({ err: error, answer: running.reader.meta.answer }, "an answer failed unexpectedly");
      }
    }
    await this.#finish(running, outcome);
    release?.();
  }

  #outcomeOf(error: unknown, running: RunningAnswer): AnswerOutcome {
    if (!(error instanceof StopReason)) return { type: "error", error: reportOf(error) };
    const { command } = running.reader.meta;
    const { finishReason } = error;
    if (command !== null) {
      return { type: "command", command, result: { status: "error", message: finishReason }, finishReason };
    }
    const { provider, clock } = this.#options;
    const totalMs = Math.round(clock.now() - running.arrivedAt);
    return {
      type: "message",
      finishReason,
      usage: { promptTokens: 0, completionTokens: 0, cachedTokens: 0 },
      provider: provider?.name ?? "none",
      model: provider?.describe().model ?? "none",
      timings: { queueMs: totalMs, firstTokenMs: null, totalMs },
    };
  }

  async #finish(running: RunningAnswer, outcome: AnswerOutcome): Promise<void> {
    const { store, settings, logger } = this.#options;
    running.closed();
    if (running.key !== null) {
      try {
        await store.settle(
          running.key,
          running.reader.meta.answer,
          keeps(outcome) ? settings.answerRetentionMs : 0,
        );
      } catch (error) {
        logger.error({ err: error }, "an id could not be settled");
      }
    }
    this.#running.delete(running);
    running.writer.finish(outcome);
  }

  #stop(running: RunningAnswer, reason: "cancelled" | "abandoned"): void {
    running.stop(new StopReason(reason));
    const { owner, conversation } = running.submission;
    const waiting = this.#lanes.remove(owner.client, conversation, (task) => task === running);
    if (waiting.length > 0) void this.#finish(running, this.#outcomeOf(running.signal.reason, running));
  }

  #abandon(running: RunningAnswer): void {
    const { owner, conversation } = running.submission;
    // What waits behind it, and nobody watches either, has lost its reader too. What waits before it has its own clock.
    let behind = running.begun;
    const leaves = (task: RunningAnswer): boolean => {
      if (task !== running) return behind && !task.attended;
      behind = true;
      return true;
    };
    const waiting = this.#lanes.remove(owner.client, conversation, leaves);
    if (running.begun) running.stop(new StopReason("abandoned"));
    for (const dropped of waiting) {
      dropped.stop(new StopReason("abandoned"));
      void this.#finish(dropped, this.#outcomeOf(dropped.signal.reason, dropped));
    }
  }
}

function keyOf({ owner, conversation, id }: Submission): MessageKey | null {
  return id === undefined ? null : { client: owner.client, conversation, id };
}

/** Name of a known command, null for chat. */
function commandOf(syntax: MessageSyntax): string | null {
  if (syntax.kind === "chat") return null;
  const name = syntax.kind === "command" ? syntax.command.name : syntax.name;
  if (findCommand(name) === undefined) {
    const nearest = nearestCommand(name);
    throw new ServiceError(
      "unknown_command",
      `Unknown command /${name.slice(0, 40)}. Did you mean /${nearest}? /help lists all; // sends a text that begins with a slash.`,
    );
  }
  return name;
}

/** Whether the id of an answer stays taken after its end. */
function keeps(outcome: AnswerOutcome): boolean {
  if (outcome.type === "error") return false;
  return outcome.finishReason !== "cancelled" && outcome.finishReason !== "abandoned";
}
