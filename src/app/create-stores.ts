import { conversationKey } from "../chat/conversation-key.ts";
import type { Config } from "../config/schema.ts";
import { systemClock as clock } from "../core/clock.ts";
import type { Logger } from "../core/logger.ts";
import type { PrometheusMetrics } from "../observability/prometheus-metrics.ts";
import type { ProviderChain } from "../providers/chain/provider-chain.ts";
import { MemoryAnswerLog } from "../stores/memory/memory-answer-log.ts";
import { MemoryConversationStore } from "../stores/memory/memory-conversation-store.ts";
import { MemorySessionStore } from "../stores/memory/memory-session-store.ts";

const MIB = 1_048_576;

/** Share of each budget that is reserved for subjects, and for anonymous clients, where both can connect. */
const RESERVED_SHARE = 1 / 4;

/** Assumed minimum size of a retained answer. Message ids are limited to the number of such answers in the budget. */
const MIN_ANSWER_BYTES = 1024;

interface StoreHost {
  readonly config: Config;
  readonly chain: ProviderChain | null;
  readonly logger: Logger;
  readonly metrics: PrometheusMetrics;
}

/** What the stores need from the layers above them. */
export interface StoreClients {
  /** Whether a client has an open socket. */
  readonly isConnected: (client: string) => boolean;
  /** Called when the context of an anonymous client was dropped to free memory. */
  readonly contextDropped: (client: string) => void;
  /** Whether both subjects and anonymous clients can connect. */
  readonly bothClasses: boolean;
}

/** The stores of the service. */
export interface Stores {
  readonly log: MemoryAnswerLog;
  readonly conversations: MemoryConversationStore;
  readonly sessions: MemorySessionStore;
}

/** Creates the stores in the memory of this process, with their metrics. */
export function createStores(
  options: StoreHost,
  { isConnected, contextDropped, bothClasses }: StoreClients,
): Stores {
  const { config, chain, logger, metrics } = options;
  const reservedShare = bothClasses ? RESERVED_SHARE : 0;
  const forget = (client: string, conversation: string): void =>
    chain?.forget({ client, conversation: conversationKey(client, conversation) });
  let contextsDropped = 0;
  const log = new MemoryAnswerLog({
    maxAnswerBytes: config.MAX_ANSWER_BYTES,
    budgetBytes: config.ANSWER_BUDGET_MB * MIB,
    reservedShare,
    retentionMs: config.ANSWER_RETENTION_SECONDS * 1000,
    clock,
  });
  const conversations = new MemoryConversationStore({
    historyBudgetBytes: config.HISTORY_BUDGET_MB * MIB,
    maxHistoryBytes: config.MAX_HISTORY_BYTES,
    historyTtlMs: config.HISTORY_TTL_SECONDS * 1000,
    contextBudgetBytes: config.CONTEXT_BUDGET_MB * MIB,
    anonymousContextBudgetBytes: config.ANONYMOUS_CONTEXT_BUDGET_MB * MIB,
    maxConversationsPerClient: config.MAX_CONVERSATIONS_PER_CLIENT,
    maxMessageIds: (config.ANSWER_BUDGET_MB * MIB) / MIN_ANSWER_BYTES,
    reservedShare,
    isConnected,
    conversationEvicted: () => metrics.limitHit("conversations"),
    historyEvicted: forget,
    contextDropped: (client) => {
      contextsDropped++;
      chain?.forget({ client });
      contextDropped(client);
    },
    clock,
  });
  const sessions = new MemorySessionStore({
    maxSessions: config.MAX_SESSIONS,
    reservedShare,
    retentionMs: config.SESSION_RETENTION_SECONDS * 1000,
    clock,
    ended: ({ client, ownConversation, authenticated }) => {
      if (authenticated) forget(client, ownConversation);
      else chain?.forget({ client });
      const deletion = authenticated
        ? conversations.clear(client, ownConversation)
        : conversations.forgetClient(client);
      deletion.catch((error: unknown) =>
        logger.error({ err: error }, "deleting the data of an ended session failed"),
      );
    },
  });
  metrics.gauge(
    "answer_log_bytes",
    "Bytes held by the answer log, for running and retained answers",
    () => log.bytes,
  );
  metrics.gauge(
    "answer_log_running_bytes",
    "Bytes held by the answer log for running answers",
    () => log.runningBytes,
  );
  metrics.counter(
    "answers_cut_short_total",
    "Answers that ended with length because the answer log was full",
    () => log.cutShort,
  );
  metrics.gauge("answers_retained", "Answers in the answer log, running and finished", () => log.size);
  metrics.gauge("history_bytes", "Bytes held by conversation histories", () => conversations.historyBytes);
  metrics.gauge("context_bytes", "Bytes held by client contexts", () => conversations.contextBytes);
  metrics.counter(
    "contexts_dropped_total",
    "Contexts of anonymous clients that were dropped because the memory for them was full",
    () => contextsDropped,
  );
  metrics.gauge("message_ids", "Message ids kept to detect duplicates", () => conversations.claims);
  metrics.gauge("sessions", "Sessions in memory, connected and retained", () => sessions.size);
  return { log, conversations, sessions };
}
