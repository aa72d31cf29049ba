import type {
  CommandResult,
  FinishReason,
  WireTimings,
  WireUsage,
} from "../../src/protocol/server-frames.ts";
import type { FailureCode } from "./client-events.ts";

/** One message and what came of it. */
export interface Turn {
  readonly kind: "turn";
  /** Of the message on the wire; another one after a retry. */
  id: string;
  readonly conversation: string;
  /** Empty where another page sent the message and only the answer is known. */
  text: string;
  /** The server's name for the answer, once it was told. */
  answer?: string | undefined;
  status: "pending" | "done" | "stopped" | "failed";
  /** The answer's text so far. */
  content: string;
  /** Of a command that is done. */
  command?: string | undefined;
  result?: CommandResult | undefined;
  failure?: Failure | undefined;
  facts?: AnswerFacts | undefined;
}

export interface Failure {
  readonly code: FailureCode;
  readonly message: string;
  readonly retryable: boolean;
  /** Milliseconds since the epoch. */
  readonly retryAt?: number;
}

export interface AnswerFacts {
  readonly finishReason: FinishReason;
  readonly usage?: WireUsage;
  readonly timings?: WireTimings;
  readonly model?: string;
}

/** A line between turns that says what changed. */
export interface Divider {
  readonly kind: "divider";
  readonly text: string;
}

export type Entry = Turn | Divider;

export interface SavedTranscript {
  readonly conversation: string;
  readonly entries: readonly Entry[];
}

const MAX_ENTRIES = 200;
/** Browsers give a page about five million characters for everything. */
const MAX_CHARS = 1_000_000;

/** Writes a transcript for the tab's storage; the oldest entries go when it grows too large. */
export function packTranscript({ conversation, entries }: SavedTranscript): string {
  const kept: string[] = [];
  let chars = 0;
  for (const entry of entries.slice(-MAX_ENTRIES).toReversed()) {
    const text = JSON.stringify(entry);
    chars += text.length + 1;
    if (chars > MAX_CHARS) break;
    kept.unshift(text);
  }
  return `{"conversation":${JSON.stringify(conversation)},"entries":[${kept.join(",")}]}`;
}

/** Reads what {@link packTranscript} wrote; undefined for anything else, such as the storage of an older page. */
export function unpackTranscript(text: string | null): SavedTranscript | undefined {
  if (text === null) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { conversation, entries } = (value ?? {}) as Partial<Record<keyof SavedTranscript, unknown>>;
  if (typeof conversation !== "string" || !/^[\w-]{1,64}$/.test(conversation)) return undefined;
  if (!Array.isArray(entries) || !entries.every(isEntry)) return undefined;
  return { conversation, entries };
}

const statuses: readonly unknown[] = ["pending", "done", "stopped", "failed"] satisfies Turn["status"][];

function isEntry(value: unknown): value is Entry {
  const entry = (value ?? {}) as Partial<Record<keyof Turn, unknown>>;
  if (entry.kind === "divider") return typeof entry.text === "string";
  const strings = [entry.id, entry.conversation, entry.text, entry.content];
  return (
    entry.kind === "turn" &&
    (entry.answer === undefined || typeof entry.answer === "string") &&
    strings.every((field) => typeof field === "string") &&
    statuses.includes(entry.status)
  );
}
