import type { AnswerReader } from "../../chat/answer-log.ts";
import type { BucketTable } from "../../core/bucket-table.ts";
import type { Clock } from "../../core/clock.ts";
import type { Turn } from "../../core/fit-prompt.ts";
import type { Logger } from "../../core/logger.ts";
import type { Metrics } from "../../core/metrics.ts";
import type { FlushScheduler } from "./flush-scheduler.ts";

/** Source of the replies to `history` frames. */
export interface HistorySource {
  /** The turns of a client's conversation, oldest first, and its running or queued answers. */
  history(
    client: string,
    conversation: string,
  ): Promise<{ readonly turns: readonly Turn[]; readonly running: readonly AnswerReader[] }>;
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
  /** Budgets of replayed text in bytes, by account key; null: no limit. */
  readonly replays: BucketTable | null;
  /** Maximum bytes of the turns in one `history` frame. */
  readonly maxHistoryBytes: number;
}
