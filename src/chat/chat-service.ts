import { ServiceError, reportOf } from "../core/errors.ts";
import { randomId } from "../core/ids.ts";
import { parseMessage, type MessageSyntax } from "../protocol/command-syntax.ts";
import type { AnswerOutcome } from "./answer-log.ts";
import type { Attendant } from "./attendance.ts";
import type { ChatServiceOptions } from "./chat-options.ts";
import { findCommand, nearestCommand } from "./commands/command-table.ts";
import { ConversationLanes } from "./conversation-lanes.ts";
import type { MessageKey } from "./conversation-store.ts";
import { StopReason } from "./generation.ts";
import { respond } from "./respond.ts";
import { RunningAnswer, type Submission, type Ticket } from "./running-answer.ts";

/** Names a running answer of a client. */
export type AnswerName = { readonly answer: string } | { readonly id: string; readonly conversation: string };

/** A lease outlives any answer; it only matters when a process dies. */
const LEASE_MS = 600_000;

const nobody: Attendant = { setStalled() {}, leave() {} };

/** Turns messages into answers: ids, order, commands, generation, history. Sessions watch the log it writes. */
export class ChatService {
  readonly #options: ChatServiceOptions;
  readonly #lanes: ConversationLanes<RunningAnswer>;
  readonly #running = new Map<string, Set<RunningAnswer>>();
  /** Answers whose id is being claimed: who joins one meanwhile waits until it runs or was refused. */
  readonly #starting = new Map<string, Promise<void>>();
  #runningCount = 0;
  #accepting = true;
  #idle: (() => void)[] = [];

  constructor(options: ChatServiceOptions) {
    this.#options = options;
    const { maxPendingMessages: maxPending, maxActiveAnswersPerClient: maxActivePerClient } =
      options.settings;
    this.#lanes = new ConversationLanes({ maxPending, maxActivePerClient });
    options.metrics.gauge("answers_running", "Answers that run or wait", () => this.#runningCount);
    options.metrics.gauge(
      "messages_pending",
      "Messages behind others of their conversation",
      () => this.#lanes.waiting,
    );
  }

  /**
   * Takes a message. The same message again (by id and hash) gives the ticket of the same answer.
   * @throws ServiceError `busy`, `overloaded`, `draining`, `id_conflict`, `unknown_command`.
   */
  async submit(submission: Submission): Promise<Ticket> {
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

  /** Stops an answer of this client; what it has so far is kept. False when none of that name runs. */
  cancel(client: string, name: AnswerName): boolean {
    for (const running of this.#running.get(client) ?? []) {
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
    if (this.#runningCount === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Ends every answer at once, as cancelled. */
  stopAll(): void {
    for (const answers of this.#running.values()) {
      for (const running of answers) this.#stop(running, "cancelled");
    }
  }

  async #claim(key: MessageKey, hash: string, answer: string): Promise<Ticket | undefined> {
    const { store, log } = this.#options;
    for (;;) {
      const claim = await store.claim(key, hash, answer);
      if (claim.kind === "new") return undefined;
      if (claim.kind === "conflict") {
        throw new ServiceError(
          "id_conflict",
          `The id ${JSON.stringify(key.id)} was used for another message.`,
        );
      }
      const running = this.#find(key.client, claim.answer);
      if (running !== undefined) return running;
      const starting = this.#starting.get(claim.answer);
      if (starting !== undefined) {
        await starting;
        continue;
      }
      const reader = await log.find(key.client, claim.answer);
      if (reader !== undefined) return { reader, attend: () => nobody };
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
    const { log, clock, settings, provider, mend } = this.#options;
    const { owner, conversation } = submission;
    if (!this.#accepting)
      throw new ServiceError("draining", "The server is about to restart; reconnect and try again.");
    const command = commandOf(syntax);
    if (command === null && provider === null) throw new ServiceError("no_provider", mend);
    this.#lanes.check(owner.client, conversation);
    const id = submission.id ?? answer;
    const writer = log.create({
      answer,
      id,
      client: owner.client,
      charge: owner.charge,
      conversation,
      command,
    });
    const running = new RunningAnswer({ submission, syntax, writer, key }, clock, settings.abandonMs, {
      run: (it) => this.#run(it),
      abandoned: (it) => this.#abandon(it),
    });
    this.#track(running);
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
    this.#untrack(running);
    running.writer.finish(outcome);
  }

  #stop(running: RunningAnswer, reason: "cancelled" | "abandoned"): void {
    running.stop(reason);
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
    if (running.begun) running.stop("abandoned");
    for (const dropped of waiting) {
      dropped.stop("abandoned");
      void this.#finish(dropped, this.#outcomeOf(dropped.signal.reason, dropped));
    }
  }

  #find(client: string, answer: string): RunningAnswer | undefined {
    for (const running of this.#running.get(client) ?? []) {
      if (running.reader.meta.answer === answer) return running;
    }
    return undefined;
  }

  #track(running: RunningAnswer): void {
    const { client } = running.submission.owner;
    const answers = this.#running.get(client);
    if (answers === undefined) this.#running.set(client, new Set([running]));
    else answers.add(running);
    this.#runningCount++;
  }

  #untrack(running: RunningAnswer): void {
    const { client } = running.submission.owner;
    const answers = this.#running.get(client);
    answers?.delete(running);
    if (answers?.size === 0) this.#running.delete(client);
    this.#runningCount--;
    if (this.#runningCount === 0) for (const resolve of this.#idle.splice(0)) resolve();
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
