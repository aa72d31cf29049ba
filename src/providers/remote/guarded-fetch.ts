import type { Clock } from "../../core/clock.ts";
import type { ProviderError } from "../provider-error.ts";
import { ownParameters } from "./dialect/refusal.ts";
import type { RemoteNames, UpstreamFault } from "./fault-table.ts";
import { badAnswer, mapFault, mapNetworkFault, readFault, retryAfterOf } from "./http-errors.ts";

/** Maximum bytes read of an error body, which could be endless. */
const ERROR_BODY_BYTES = 65_536;
/** Maximum milliseconds spent reading an error body. */
const ERROR_BODY_MS = 5000;
/** Maximum bytes of a line of the event stream. The parsers of the SDKs buffer a whole line. */
const MAX_LINE_BYTES = 1_048_576;

export type Fetch = typeof globalThis.fetch;

/** One HTTP call: its `fetch` and its outcome. */
export interface GuardedCall {
  readonly fetch: Fetch;
  /** Set if the call failed before its answer began. Takes precedence over the error that the SDK throws. */
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

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === "AbortError";
}

function boundedLines(names: RemoteNames): TransformStream<Uint8Array, Uint8Array> {
  let lineBytes = 0;
  return new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      const end = Math.max(chunk.lastIndexOf(10), chunk.lastIndexOf(13));
      lineBytes = end === -1 ? lineBytes + chunk.length : chunk.length - end - 1;
      if (lineBytes > MAX_LINE_BYTES)
        controller.error(badAnswer(names, "its stream contains a line that is too long"));
      else controller.enqueue(chunk);
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
  const fail = (error: ProviderError): never => {
    state.failure = error;
    throw error;
  };
  const refuse = async (response: Response): Promise<never> => {
    const retryAfterMs = retryAfterOf(response.headers, clock.wall());
    const body = parsed(await readBounded(response, clock).catch(() => ""));
    if (response.ok) {
      const error = (body as { error?: unknown } | null)?.error;
      if (typeof error !== "object" && typeof error !== "string") {
        return fail(badAnswer(names, "its response is not an event stream"));
      }
    }
    const fault = readFault(body, response.ok ? undefined : response.status, retryAfterMs);
    state.fault = fault;
    return fail(mapFault(names, fault, ownParameters));
  };
  const guarded: Fetch = async (input, init) => {
    let response: Response;
    try {
      response = await fetch(input, { ...init, redirect: "manual" });
    } catch (error) {
      if (isAbort(error)) throw error;
      return fail(mapNetworkFault(names, error, false));
    }
    const type = response.headers.get("content-type") ?? "";
    if (!response.ok || !/^text\/event-stream\b/i.test(type) || !response.body) return refuse(response);
    state.begun = true;
    const { status } = response;
    // One SDK accepts the content type in lower case only.
    const headers = { "content-type": "text/event-stream" };
    return new Response(response.body.pipeThrough(boundedLines(names)), { status, headers });
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
