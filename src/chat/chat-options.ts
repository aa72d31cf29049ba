import type { Clock } from "../core/clock.ts";
import type { Logger } from "../core/logger.ts";
import type { Metrics } from "../core/metrics.ts";
import type { AnswerSource } from "../providers/provider.ts";
import type { AnswerLog } from "./answer-log.ts";
import type { ConversationStore } from "./conversation-store.ts";

export interface ChatSettings {
  readonly systemPrompt: string;
  /** Tokens of one answer: the default and the limit. */
  readonly maxOutputTokens: number;
  /** Messages of one conversation that may wait behind the running one. */
  readonly maxPendingMessages: number;
  /** Conversations of one client that may have a running answer at the same time. */
  readonly maxActiveAnswersPerClient: number;
  /** Milliseconds without an active watcher after which an answer is stopped. */
  readonly abandonMs: number;
  /** Milliseconds for which a message id stays taken after the end of its answer. */
  readonly answerRetentionMs: number;
}

export interface ChatServiceOptions {
  readonly settings: ChatSettings;
  /** Null when no provider could be started. */
  readonly provider: AnswerSource | null;
  readonly log: AnswerLog;
  readonly store: ConversationStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}
