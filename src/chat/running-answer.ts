import type { Clock } from "../core/clock.ts";
import type { Principal } from "../core/principal.ts";
import { Stopper, type StopSignal } from "../core/stop-signal.ts";
import type { MessageSyntax } from "../protocol/command-syntax.ts";
import type { Sampling } from "../providers/provider.ts";
import { AbandonTimer, type Watcher } from "./abandon-timer.ts";
import type { AnswerReader, AnswerWriter } from "./answer-log.ts";
import type { LaneTask } from "./conversation-lanes.ts";
import type { MessageKey } from "./conversation-store.ts";
import type { StopReason } from "./generation.ts";

/** One message as a session submits it. */
export interface Submission {
  readonly owner: Principal;
  /** Name of the conversation within the client. */
  readonly conversation: string;
  readonly message: string;
  /** The client's own id for the message; absent: the server assigns one, and a repeated message is a new one. */
  readonly id?: string;
  /** Hash of the frame's content; distinguishes a repeated frame from a different one under the same id. */
  readonly hash: string;
  /** At most MAX_OUTPUT_TOKENS, which is also the default. */
  readonly maxTokens?: number;
  readonly sampling: Sampling;
}

/** A session's view of an answer. */
export interface AnswerHandle {
  readonly reader: AnswerReader;
  /** Registers a connected watcher; an answer without one is stopped after ABANDON_SECONDS. */
  watch(): Watcher;
}

/** An answer from the arrival of its message to its end: its state in this process, besides its log. */
export class RunningAnswer implements LaneTask, AnswerHandle {
  readonly submission: Submission;
  readonly syntax: MessageSyntax;
  readonly writer: AnswerWriter;
  /** `Clock.now()` when the message arrived. */
  readonly arrivedAt: number;
  /** The claimed message id; null when the client sent none. */
  readonly key: MessageKey | null;
  readonly #stopper = new Stopper();
  readonly #abandonTimer: AbandonTimer;
  #begun = false;

  /** `abandoned` is called once when the answer had no active watcher for `abandonMs`. */
  constructor(
    init: { submission: Submission; syntax: MessageSyntax; writer: AnswerWriter; key: MessageKey | null },
    clock: Clock,
    abandonMs: number,
    abandoned: (answer: RunningAnswer) => void,
  ) {
    this.submission = init.submission;
    this.syntax = init.syntax;
    this.writer = init.writer;
    this.key = init.key;
    this.arrivedAt = clock.now();
    this.#abandonTimer = new AbandonTimer(clock, abandonMs, () => abandoned(this));
  }

  get reader(): AnswerReader {
    return this.writer.reader;
  }

  get signal(): StopSignal {
    return this.#stopper;
  }

  /** Whether a connected watcher reads the text that is ready for it. */
  get hasActiveWatcher(): boolean {
    return this.#abandonTimer.hasActiveWatcher;
  }

  /** Whether it is past the queue of its conversation. */
  get begun(): boolean {
    return this.#begun;
  }

  watch(): Watcher {
    return this.#abandonTimer.join();
  }

  begin(): void {
    this.#begun = true;
  }

  moved(position: number): void {
    this.writer.setStatus({ type: "queued", reason: "conversation", position });
  }

  /** Aborts {@link signal}. The log is finished by the runner, not here. */
  stop(reason: StopReason): void {
    this.#stopper.abort(reason);
  }

  /** Stops the abandon timer permanently. */
  close(): void {
    this.#abandonTimer.close();
  }
}
