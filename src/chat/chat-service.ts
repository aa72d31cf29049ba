import { NO_PROVIDER_TEXT, ServiceError } from "../core/errors.ts";
import { randomId } from "../core/ids.ts";
import { parseMessage, type MessageSyntax } from "../protocol/command-syntax.ts";
import type { Turn } from "../core/fit-prompt.ts";
import type { AnswerReader } from "./answer-log.ts";
import type { Watcher } from "./abandon-timer.ts";
import { AnswerRunner } from "./answer-runner.ts";
import type { ChatServiceOptions } from "./chat-options.ts";
import { findCommand, nearestCommand } from "./commands/command-table.ts";
import { ConversationLanes } from "./conversation-lanes.ts";
import type { MessageKey } from "./conversation-store.ts";
import { StopReason } from "./generation.ts";
import { RunningAnswer, type Submission, type AnswerHandle } from "./running-answer.ts";
import { RunningAnswers } from "./running-answers.ts";

/** Identifies a running answer of a client: by the answer's id, or by the message's id within its conversation. */
export type AnswerName = { readonly answer: string } | { readonly id: string; readonly conversation: string };

/** Maximum bytes of a UTF-16 unit in the memory of V8. */
const MAX_CHARACTER_BYTES = 2;

/** For finished answers, which nothing can stop any more. */
const noWatcher: Watcher = { setStalled() {}, leave() {} };

/** Accepts messages, deduplicates them by id, queues them by conversation and stops them. Sessions read the answers. */
export class ChatService {
  readonly #options: ChatServiceOptions;
  readonly #lanes: ConversationLanes<RunningAnswer>;
  readonly #runner: AnswerRunner;
  readonly #running = new RunningAnswers();
  /** By answer whose message id is being claimed: resolves when the answer runs or was refused. */
  readonly #starting = new Map<string, Promise<void>>();
  #accepting = true;

  constructor(options: ChatServiceOptions) {
    this.#options = options;
    const { maxPendingMessages: maxPending, maxActiveAnswersPerClient: maxActivePerClient } =
      options.settings;
    const runner = new AnswerRunner(options, this.#running);
    this.#runner = runner;
    this.#lanes = new ConversationLanes({ maxPending, maxActivePerClient }, (it) => runner.run(it));
    options.metrics.gauge("answers_running", "Answers that run or wait", () => this.#running.count);
    options.metrics.gauge(
      "messages_pending",
      "Messages that wait behind another one of their conversation",
      () => this.#lanes.waiting,
    );
  }

  /**
   * Accepts a message. A repeated message (same id and hash) returns the handle of the existing answer.
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
      // Has no effect when the id belongs to another answer.
      await this.#options.store.settle(key, answer, 0);
      throw error;
    } finally {
      this.#starting.delete(answer);
      started();
    }
  }

  /** The handle of an answer of this client that runs, waits or is retained; undefined when unknown or expired. */
  async watch(client: string, answer: string): Promise<AnswerHandle | undefined> {
    const running = this.#running.find(client, answer);
    if (running !== undefined) return running;
    const reader = await this.#options.log.find(client, answer);
    return reader && { reader, watch: () => noWatcher };
  }

  /** The turns of a conversation, oldest first, and its running and waiting answers. */
  async history(
    client: string,
    conversation: string,
  ): Promise<{ turns: readonly Turn[]; running: readonly AnswerReader[] }> {
    for (;;) {
      const before = this.#runningIn(client, conversation);
      const turns = await this.#options.store.turns(client, conversation);
      const running = this.#runningIn(client, conversation);
      // An answer that ended during the await would be missing from both lists, so read again.
      if (before.every((reader) => running.includes(reader))) return { turns, running };
    }
  }

  /** Whether the client's context was dropped to free memory, and the client has neither set nor cleared one since. */
  contextWasDropped(client: string): Promise<boolean> {
    return this.#options.store.contextWasDropped(client);
  }

  /** Stops an answer of this client and keeps its text so far. @returns false when no such answer runs or waits. */
  cancel(client: string, name: AnswerName): boolean {
    for (const running of this.#running.of(client)) {
      const { meta } = running.reader;
      const matches =
        "answer" in name
          ? meta.answer === name.answer
          : meta.id === name.id && meta.conversation === name.conversation;
      if (!matches) continue;
      this.#stop(running, "cancelled");
      return true;
    }
    return false;
  }

  /** New messages are refused with `draining` from now on; accepted ones continue. */
  stopAccepting(): void {
    this.#accepting = false;
  }

  /** Resolves once no answer runs or waits. */
  whenIdle(): Promise<void> {
    return this.#running.whenNone();
  }

  /** Stops every running and waiting answer as `cancelled`. */
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
          `The id ${JSON.stringify(key.id)} already belongs to a different message in this conversation. ` +
            "Send this message under a new id.",
        );
      }
      const starting = this.#starting.get(claim.answer);
      if (starting !== undefined) {
        await starting;
        continue;
      }
      const handle = await this.watch(key.client, claim.answer);
      if (handle !== undefined) return handle;
      // The text of the earlier answer was evicted: free its id and start over with this message.
      await store.settle(key, claim.answer, 0);
    }
  }

  #begin(
    submission: Submission,
    syntax: MessageSyntax,
    answer: string,
    key: MessageKey | null,
  ): RunningAnswer {
    const { log, clock, settings, provider } = this.#options;
    const { owner, conversation } = submission;
    if (!this.#accepting) {
      const message =
        "The server is shutting down and accepts no new messages. Reconnect and send the message again.";
      throw new ServiceError("draining", message);
    }
    const command = commandOf(syntax);
    if (command === null && provider === null) throw new ServiceError("no_provider", NO_PROVIDER_TEXT);
    this.#lanes.check(owner.client, conversation);
    const id = submission.id ?? answer;
    const { client, accountKey } = owner;
    const meta = { answer, id, client, accountKey, conversation, command };
    const writer = log.create(meta, MAX_CHARACTER_BYTES * submission.message.length);
    const running = new RunningAnswer(
      { submission, syntax, writer, key },
      clock,
      settings.abandonMs,
      (abandoned) => this.#abandon(abandoned),
    );
    this.#running.add(running);
    this.#lanes.enter(owner.client, conversation, running);
    return running;
  }

  #stop(running: RunningAnswer, finishReason: "cancelled" | "abandoned"): void {
    const reason = new StopReason(finishReason);
    const { owner, conversation } = running.submission;
    const waiting = this.#lanes.remove(owner.client, conversation, (task) => task === running);
    if (waiting.length > 0) void this.#runner.drop(running, reason);
    else running.stop(reason);
  }

  #abandon(running: RunningAnswer): void {
    const { owner, conversation } = running.submission;
    // Unwatched messages queued behind it are abandoned as well. Messages queued before it have timers of their own.
    let behind = running.begun;
    const isAbandoned = (task: RunningAnswer): boolean => {
      if (task !== running) return behind && !task.hasActiveWatcher;
      behind = true;
      return true;
    };
    const waiting = this.#lanes.remove(owner.client, conversation, isAbandoned);
    if (running.begun) running.stop(new StopReason("abandoned"));
    for (const dropped of waiting) void this.#runner.drop(dropped, new StopReason("abandoned"));
  }
}

function keyOf({ owner, conversation, id }: Submission): MessageKey | null {
  return id === undefined ? null : { client: owner.client, accountKey: owner.accountKey, conversation, id };
}

/**
 * Name of the command, or null for a chat message.
 * @throws ServiceError `unknown_command` with the nearest name.
 */
function commandOf(syntax: MessageSyntax): string | null {
  if (syntax.kind === "chat") return null;
  const name = syntax.kind === "command" ? syntax.command.name : syntax.name;
  if (findCommand(name) === undefined) {
    const nearest = nearestCommand(name);
    throw new ServiceError(
      "unknown_command",
      `Unknown command /${name.slice(0, 40)}. Did you mean /${nearest}? ` +
        "Send /help for a list of commands. To send text that begins with a slash, start it with //.",
    );
  }
  return name;
}
