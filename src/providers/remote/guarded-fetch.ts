import type { Clock } from "../../core/clock.ts";
import type { ProviderError } from "../provider-error.ts";
import { isTooLong, type RemoteNames, type UpstreamFault } from "./fault-table.ts";
import { badAnswer, mapFault, mapNetworkFault, readFault, retryAfterOf } from "./http-errors.ts";
import { ownParameters, samplingParameters } from "./request-body.ts";

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
  /** Parameters of the request that the server named when it rejected the request. */
  readonly rejected: readonly string[];
  /** Whether the server does not support these parameters at all, as opposed to rejecting their values. */
  readonly unsupported: boolean;
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

/** Whether `text` names the parameter. Names that are also words, such as "seed", must be quoted or follow a dot. */
function isNamed(name: string, text: string): boolean {
  const isWord = samplingParameters.some((parameter) => parameter === name);
  return (isWord ? new RegExp(`['"\`.]${name}\\b`) : new RegExp(`\\b${name}\\b`)).test(text);
}

function rejectedParameters(fault: UpstreamFault): readonly string[] {
  if ((fault.status !== 400 && fault.status !== 422) || isTooLong(fault)) return [];
  return ownParameters.filter((name) => fault.param?.startsWith(name) === true || isNamed(name, fault.text));
}

/** Whether the server does not support a parameter at all, as opposed to rejecting its value. */
function isUnsupported({ labels, text }: UpstreamFault): boolean {
  return (
    labels.some((label) => label.startsWith("unsupported_")) ||
    /unsupported|not supported|not permitted|unexpected keyword|only the default/i.test(text)
  );
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
    rejected: [] as readonly string[],
    unsupported: false,
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
      return fail(mapFault(names, readFault(body, undefined, retryAfterMs), ownParameters));
    }
    const fault = readFault(body, response.status, retryAfterMs);
    state.rejected = rejectedParameters(fault);
    state.unsupported = isUnsupported(fault);
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
    get rejected() {
      return state.rejected;
    },
    get unsupported() {
      return state.unsupported;
    },
  };
}
