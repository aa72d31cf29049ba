import type { Clock } from "../core/clock.ts";
import type { Logger } from "../core/logger.ts";
import type { Metrics } from "../core/metrics.ts";
import type { AnswerSource } from "../providers/provider.ts";
import type { AnswerLog } from "./answer-log.ts";
import type { ConversationStore } from "./conversation-store.ts";

export interface ChatSettings {
  readonly systemPrompt: string;
  readonly maxOutputTokens: number;
  readonly maxPendingMessages: number;
  readonly maxActiveAnswersPerClient: number;
  readonly abandonMs: number;
  readonly answerRetentionMs: number;
}

export interface ChatServiceOptions {
  readonly settings: ChatSettings;
  /** Null while no provider could be started: then `remedy` says what to do. */
  readonly provider: AnswerSource | null;
  readonly remedy: string;
  readonly log: AnswerLog;
  readonly store: ConversationStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}
