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

/** One message as a session hands it over. */
export interface Submission {
  readonly owner: Principal;
  /** Name of the conversation within the client. */
  readonly conversation: string;
  readonly message: string;
  /** The client's own id for it; absent: the server gives one, and nothing can join. */
  readonly id?: string;
  /** Hash of what the frame asks for; tells a repeated frame from another one under the same id. */
  readonly hash: string;
  /** Already within MAX_OUTPUT_TOKENS. */
  readonly maxTokens?: number;
  readonly sampling: Sampling;
}

/** What a session gets for a message: something to read, and a way to say that it is there. */
export interface AnswerHandle {
  readonly reader: AnswerReader;
  watch(): Watcher;
}

export interface RunningAnswerHooks {
  run(answer: RunningAnswer): Promise<void>;
  abandoned(answer: RunningAnswer): void;
}

/** An answer on its way, from its message's arrival to its end: the process-local side of the log. */
export class RunningAnswer implements LaneTask, AnswerHandle {
  readonly submission: Submission;
  readonly syntax: MessageSyntax;
  readonly writer: AnswerWriter;
  readonly arrivedAt: number;
  /** The claimed id; null when the client named none. */
  readonly key: MessageKey | null;
  readonly #stopper = new Stopper();
  readonly #abandonTimer: AbandonTimer;
  readonly #hooks: RunningAnswerHooks;
  #begun = false;

  constructor(
    init: { submission: Submission; syntax: MessageSyntax; writer: AnswerWriter; key: MessageKey | null },
    clock: Clock,
    abandonMs: number,
    hooks: RunningAnswerHooks,
  ) {
    this.submission = init.submission;
    this.syntax = init.syntax;
    this.writer = init.writer;
    this.key = init.key;
    this.arrivedAt = clock.now();
    this.#hooks = hooks;
    this.#abandonTimer = new AbandonTimer(clock, abandonMs, () => hooks.abandoned(this));
  }

  get reader(): AnswerReader {
    return this.writer.reader;
  }

  get signal(): StopSignal {
    return this.#stopper;
  }

  /** Whether a connected watcher takes what is ready. */
  get attended(): boolean {
    return this.#abandonTimer.attended;
  }

  /** Whether its turn in the conversation has come. */
  get begun(): boolean {
    return this.#begun;
  }

  watch(): Watcher {
    return this.#abandonTimer.join();
  }

  run(): Promise<void> {
    this.#begun = true;
    return this.#hooks.run(this);
  }

  moved(position: number): void {
    this.writer.setStatus({ type: "queued", reason: "conversation", position });
  }

  /** Stops the work behind it; whoever runs it finishes the log. */
  stop(reason: StopReason): void {
    this.#stopper.abort(reason);
  }

  /** The log is finished: the clock stops. */
  closed(): void {
    this.#abandonTimer.close();
  }
}
