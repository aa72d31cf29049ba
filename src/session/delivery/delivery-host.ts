import type { AnswerReader } from "../../chat/answer-log.ts";
import type { Clock } from "../../core/clock.ts";
import type { Turn } from "../../core/fit-prompt.ts";
import type { Logger } from "../../core/logger.ts";
import type { Metrics } from "../../core/metrics.ts";
import type { BufferAccount } from "./buffer-account.ts";
import type { FlushScheduler } from "./flush-scheduler.ts";

/** Source of the replies to `history` frames. */
export interface HistorySource {
  /** The turns of a client's conversation, oldest first, and its running or queued answers. */
  history(
    client: string,
    conversation: string,
  ): Promise<{ readonly turns: readonly Turn[]; readonly running: readonly AnswerReader[] }>;
}

/** Budgets of text that a client receives again, in bytes by account key. */
export interface ReplayBudget {
  /**
   * Takes bytes. Returns 0 on success; otherwise takes nothing and returns the milliseconds until they are available.
   */
  take(accountKey: string, bytes: number): number;
  /** Takes bytes that are sent in any case; the next ones have to wait for them. */
  charge(accountKey: string, bytes: number): void;
}

/** What the delivery of frames needs; shared by all sessions. */
export interface DeliveryHost {
  readonly chat: HistorySource;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly flushes: FlushScheduler;
  /** Maximum bytes of an answer that are sent to an acknowledging client beyond its last `ack`. */
  readonly maxUnackedBytes: number;
  /** Unsent bytes of all sockets. */
  readonly buffers: Pick<BufferAccount, "relieve">;
  /** Budgets of replayed text; null: no limit. */
  readonly replays: ReplayBudget | null;
  /** Maximum bytes of the turns in one `history` frame. */
  readonly maxHistoryBytes: number;
}
