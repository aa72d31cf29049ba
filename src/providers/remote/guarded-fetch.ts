import type { Clock } from "../../core/clock.ts";
import type { ProviderError } from "../provider-error.ts";
import { AnswerEvents } from "./reply/answer-events.ts";
import { ownParameters } from "./dialect/refusal.ts";
import { isWrongPath, type RemoteNames, type UpstreamFault } from "./fault-table.ts";
import {
  badAnswer,
  foreignAnswer,
  mapFault,
  mapNetworkFault,
  readFault,
  retryAfterOf,
} from "./http-errors.ts";

/** Maximum bytes read of an error body, which could be endless. */
const ERROR_BODY_BYTES = 65_536;
/** Maximum milliseconds spent reading an error body. */
const ERROR_BODY_MS = 5000;

export type Fetch = typeof globalThis.fetch;

/** One HTTP call: its `fetch` and its outcome. */
export interface GuardedCall {
  readonly fetch: Fetch;
  /** Set if the server refused the call, or sent an error within its answer. Takes precedence over the error that the SDK throws. */
  readonly failure: ProviderError | undefined;
  /** Whether the server accepted the request and started a stream. */
  readonly begun: boolean;
  /** The error that the server sent instead of an answer. */
  readonly fault: UpstreamFault | undefined;
}

/** Reads the beginning of a body: at most `maxBytes` bytes, and at most for {@link ERROR_BODY_MS}. */
export async function readBounded(
  response: Response,
  clock: Clock,
  maxBytes = ERROR_BODY_BYTES,
): Promise<string> {
  if (!response.body) return "";
  const reader = response.body.getReader();
  const cancel = () => void reader.cancel().catch(() => undefined);
  const stopTimer = clock.after(ERROR_BODY_MS, cancel);
  const chunks: Uint8Array[] = [];
  try {
    for (let bytes = 0; bytes < maxBytes;) {
      const { done, value } = await reader.read();
      if (done) break;
      chunks.push(value);
      bytes += value.length;
    }
  } finally {
    stopTimer();
    cancel();
  }
  return Buffer.concat(chunks).toString("utf8", 0, maxBytes);
}

/** The JSON of an error body, also if it was sent as an event; otherwise its text. */
function parsed(text: string): unknown {
  for (const json of [text, text.trimStart().replace(/^(event:.*\n)?data:/, "")]) {
    try {
      return JSON.parse(json);
    } catch {
      // Not this form.
    }
  }
  return text;
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === "AbortError";
}

/** Rewrites a body into the events that the SDKs can read. */
function eventBytes(events: AnswerEvents): TransformStream<Uint8Array, Uint8Array> {
  const decoder = new TextDecoder();
  const encoder = new TextEncoder();
  return new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      const text = events.push(decoder.decode(chunk, { stream: true }));
      if (text !== "") controller.enqueue(encoder.encode(text));
    },
    flush(controller) {
      const text = events.push(decoder.decode()) + events.end();
      if (text !== "") controller.enqueue(encoder.encode(text));
    },
  });
}

/**
 * Creates a `fetch` for one call of an SDK. It keeps details that the SDKs lose (status, `Retry-After`), maps every
 * failure at the edge (the errors of the SDKs contain the request body), limits what is read, and follows no redirects,
 * so that text is sent to the configured address only.
 */
export function guardedCall(names: RemoteNames, clock: Clock, fetch: Fetch = globalThis.fetch): GuardedCall {
  const state = {
    failure: undefined as ProviderError | undefined,
    begun: false,
    fault: undefined as UpstreamFault | undefined,
  };
  const record = (error: ProviderError): ProviderError => (state.failure = error);
  const recordFault = (fault: UpstreamFault): ProviderError => {
    state.fault = fault;
    return record(mapFault(names, fault, ownParameters));
  };
  const refuse = async (response: Response): Promise<never> => {
    const retryAfterMs = retryAfterOf(response.headers, clock.wall());
    const body = parsed(await readBounded(response, clock).catch(() => ""));
    throw recordFault(readFault(body, response.status, retryAfterMs));
  };
  /** Events of an accepted request. A server that accepted it may still send an error, or something else entirely. */
  const eventsOf = (response: Response): AnswerEvents => {
    const readInBand = (body: unknown): UpstreamFault =>
      readFault(body, undefined, retryAfterOf(response.headers, clock.wall()));
    return new AnswerEvents({
      onError: (body) => void recordFault(readInBand(body)),
      onForeign: (text) => {
        const fault = readInBand(text);
        // The words of a web page, or of JSON that is no error, may be about anything.
        const isKnown = /^[<{[]/.test(text)
          ? isWrongPath(fault)
          : mapFault(names, fault).code !== "bad_answer";
        if (isKnown) recordFault(fault);
        else record(foreignAnswer(names));
      },
      onTooLong: () => void record(badAnswer(names, "its stream contains a line that is too long")),
    });
  };
  const guarded: Fetch = async (input, init) => {
    let response: Response;
    try {
      response = await fetch(input, { ...init, redirect: "manual" });
    } catch (error) {
      if (isAbort(error)) throw error;
      throw record(mapNetworkFault(names, error, false));
    }
    if (!response.ok) return refuse(response);
    if (!response.body) throw record(foreignAnswer(names));
    state.begun = true;
    // The content type is that of the events. Servers send answers with any, and other documents as events.
    const headers = { "content-type": "text/event-stream" };
    return new Response(response.body.pipeThrough(eventBytes(eventsOf(response))), { headers });
  };
  return {
    fetch: guarded,
    get failure() {
      return state.failure;
    },
    get begun() {
      return state.begun;
    },
    get fault() {
      return state.fault;
    },
  };
}
