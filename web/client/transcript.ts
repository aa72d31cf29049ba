import type {
  CommandResult,
  FinishReason,
  WireTimings,
  WireUsage,
} from "../../src/protocol/server-frames.ts";
import type { FailureCode } from "./client-events.ts";

/** One message and its answer. */
export interface Turn {
  readonly kind: "turn";
  /** Id of the message on the wire. A retry gets a new id. */
  id: string;
  readonly conversation: string;
  /** Text of the message. Empty if another page sent it and only the answer is known. */
  text: string;
  /** Id of the answer. Undefined until the server has sent it. */
  answer?: string | undefined;
  status: "pending" | "done" | "stopped" | "failed";
  /** Text of the answer so far. */
  content: string;
  /** Reasoning of the model before its answer. Undefined if it did not reason. */
  reasoning?: string | undefined;
  /** Name of the command, once it has a result. */
  command?: string | undefined;
  result?: CommandResult | undefined;
  failure?: Failure | undefined;
  facts?: AnswerFacts | undefined;
}

/** Why a message has no answer. */
export interface Failure {
  readonly code: FailureCode;
  readonly message: string;
  readonly retryable: boolean;
  /** Earliest time for a retry, in milliseconds since the epoch. */
  readonly retryAt?: number;
}

/** Details shown below an answer. */
export interface AnswerFacts {
  readonly finishReason: FinishReason;
  readonly usage?: WireUsage;
  readonly timings?: WireTimings;
  readonly model?: string;
}

/** A line of text between turns, such as a notice. */
export interface Divider {
  readonly kind: "divider";
  readonly text: string;
}

export type Entry = Turn | Divider;

export interface SavedTranscript {
  readonly conversation: string;
  readonly entries: readonly Entry[];
}

/** Maximum number of entries in a saved transcript. */
const MAX_ENTRIES = 200;
/** Maximum size of a saved transcript, in characters. Browsers allow about five million for the whole site. */
const MAX_CHARS = 1_000_000;

/** Serializes a transcript for the tab's storage. Drops the oldest entries if it is too large. */
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

/** Parses the output of {@link packTranscript}. Returns undefined for any other text. */
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
    [entry.answer, entry.reasoning].every((field) => field === undefined || typeof field === "string") &&
    strings.every((field) => typeof field === "string") &&
    statuses.includes(entry.status)
  );
}
