import type { Config } from "../../src/config/schema.ts";

const MIB = 1_048_576;

/** Memory that one anonymous address can make the service hold, of one kind. */
export interface AddressBound {
  readonly kind: string;
  /** Maximum number at the same time; bytes as a budget counts them where there is a budget. */
  readonly items: number;
  /** How it follows from the settings, in Markdown. */
  readonly formula: string;
  /** Memory of one item in bytes. */
  readonly bytesEach: number;
  /** Whether `npm run bench -- address-memory` measures the size; the other ones are estimates. */
  readonly measured: boolean;
}

/** Budgets count UTF-8. V8 stores all characters of a text with two bytes if one of them is beyond U+00FF. */
const TEXT_BYTES_PER_COUNTED_BYTE = 2;

/**
 * What one address can make the service hold, without a key for tokens. With one, a quarter of the sessions, answers,
 * histories and message ids is reserved for authenticated clients. The table in docs/security.md is compared with it.
 */
export function addressBounds(config: Config): readonly AddressBound[] {
  const sockets = config.MAX_CONNECTIONS_PER_ADDRESS;
  const running = sockets * config.MAX_ACTIVE_ANSWERS_PER_CLIENT;
  const waiting = running * config.MAX_PENDING_MESSAGES;
  const messagesPerMinute = config.MAX_MESSAGES_PER_MINUTE_PER_ADDRESS;
  const ended = messagesPerMinute * (1 + config.ANSWER_RETENTION_SECONDS / 60);
  // History and message, as the engine gets them.
  const promptBytes = TEXT_BYTES_PER_COUNTED_BYTE * (config.MAX_HISTORY_BYTES + config.MAX_MESSAGE_CHARS);
  const ids = Math.min(running + waiting + ended, 1024 * config.ANSWER_BUDGET_MB);
  const budget = (kind: string, setting: TextBudget): AddressBound => {
    return bound(kind, config[setting] * MIB, `\`${setting}\``, TEXT_BYTES_PER_COUNTED_BYTE);
  };
  return [
    bound("sockets", sockets, "`MAX_CONNECTIONS_PER_ADDRESS`", 3000),
    bound("outbox frames", sockets, "16 KiB per socket", 38_000),
    estimated("unsent bytes", (config.MAX_BUFFERED_MB * MIB) / 4, "a quarter of `MAX_BUFFERED_MB`", 1),
    estimated("frames that wait", (config.MAX_BUFFERED_MB * MIB) / 8, "an eighth of `MAX_BUFFERED_MB`", 1),
    estimated("histories that wait", 4 * sockets, "4 per socket", 200),
    estimated("HTTP connections", config.MAX_HTTP_CONNECTIONS, "`MAX_HTTP_CONNECTIONS`", 800),
    bound("sessions", config.MAX_SESSIONS, "`MAX_SESSIONS`", 760),
    bound("running answers", running, "sockets × `MAX_ACTIVE_ANSWERS_PER_CLIENT`", 12_000),
    bound("waiting messages", waiting, "running answers × `MAX_PENDING_MESSAGES`", 2000),
    bound("texts of both", (config.ANSWER_BUDGET_MB * MIB) / 4 / 8, "`ANSWER_BUDGET_MB` / 4 / 8", 1),
    budget("answers", "ANSWER_BUDGET_MB"),
    budget("histories", "HISTORY_BUDGET_MB"),
    budget("contexts", "ANONYMOUS_CONTEXT_BUDGET_MB"),
    bound(
      "message ids",
      ids,
      "running, waiting, and of ended answers: `MAX_MESSAGES_PER_MINUTE_PER_ADDRESS` × 3",
      720,
    ),
    bound("rate budgets", 2 * messagesPerMinute, "`MAX_MESSAGES_PER_MINUTE_PER_ADDRESS` × 2", 165),
    estimated(
      "queued requests",
      config.LOCAL_QUEUE_LIMIT * 0.75,
      "three quarters of `LOCAL_QUEUE_LIMIT`",
      promptBytes,
    ),
    estimated("queued tokens", config.LOCAL_QUEUE_LIMIT * 1024, "`LOCAL_QUEUE_LIMIT` × 1,024", 8),
    estimated("stored states", config.LOCAL_KV_CACHE_MB * MIB, "`LOCAL_KV_CACHE_MB`", 1),
  ];
}

type TextBudget = "ANSWER_BUDGET_MB" | "HISTORY_BUDGET_MB" | "ANONYMOUS_CONTEXT_BUDGET_MB";

function bound(
  kind: string,
  items: number,
  formula: string,
  bytesEach: number,
  measured = true,
): AddressBound {
  return { kind, items, formula, bytesEach, measured };
}

function estimated(kind: string, items: number, formula: string, bytesEach: number): AddressBound {
  return bound(kind, items, formula, bytesEach, false);
}

/** Kinds that are held by the engine or in files, not by the gateway. */
const ELSEWHERE: ReadonlySet<string> = new Set(["queued requests", "queued tokens", "stored states"]);

/** Cells of the table in docs/security.md. */
export function boundCells({ kind, items, formula, bytesEach, measured }: AddressBound): string[] {
  const each = `${bytesEach.toLocaleString("en")}${measured ? "" : " (estimate)"}`;
  return [kind, items.toLocaleString("en"), formula, each, mebibytes(items * bytesEach)];
}

/** Memory of the gateway by all kinds, in MiB. */
export function gatewayMebibytes(bounds: readonly AddressBound[]): string {
  const inGateway = bounds.filter(({ kind }) => !ELSEWHERE.has(kind));
  return mebibytes(inGateway.reduce((sum, { items, bytesEach }) => sum + items * bytesEach, 0));
}

function mebibytes(bytes: number): string {
  const mib = bytes / MIB;
  return mib < 10 ? mib.toFixed(1) : Math.round(mib).toLocaleString("en");
}
