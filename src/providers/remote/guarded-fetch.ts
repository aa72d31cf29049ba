import type { Clock } from "../../core/clock.ts";
import type { ProviderError } from "../provider-error.ts";
import { isTooLong, type RemoteNames, type UpstreamFault } from "./fault-table.ts";
import { badAnswer, mapFault, mapNetworkFault, readFault, retryAfterOf } from "./http-errors.ts";
import { ownParameters, samplingParameters } from "./request-body.ts";

/** An error body beyond this is not read, nor one that takes longer: it could be endless. */
const ERROR_BODY_BYTES = 65_536;
const ERROR_BODY_MS = 5000;
/** A line of the event stream beyond this is a fault: the parsers of the SDKs hold a whole line. */
const LONGEST_LINE_BYTES = 1_048_576;

export type Fetch = typeof globalThis.fetch;

/** One HTTP call: its `fetch`, and what became of it. */
export interface GuardedCall {
  readonly fetch: Fetch;
  /** Set when the call failed before its answer began; it counts, whatever the SDK made of it. */
  readonly failure: ProviderError | undefined;
  /** Whether the server accepted the request and began a stream. */
  readonly begun: boolean;
  /** Parameters of ours that the server named when it rejected the request. */
  readonly rejected: readonly string[];
  /** Whether it said that it does not know them, rather than that it dislikes their values. */
  readonly unsupported: boolean;
}

/** The body of an error or of a small document: its beginning, as far as it comes within the time. */
export async function readBounded(
  response: Response,
  clock: Clock,
  mostBytes = ERROR_BODY_BYTES,
): Promise<string> {
  if (!response.body) return "";
  const reader = response.body.getReader();
  const cancel = () => void reader.cancel().catch(() => undefined);
  const stopTimer = clock.after(ERROR_BODY_MS, cancel);
  const chunks: Uint8Array[] = [];
  try {
    for (let bytes = 0; bytes < mostBytes;) {
      const { done, value } = await reader.read();
      if (done) break;
      chunks.push(value);
      bytes += value.length;
    }
  } finally {
    stopTimer();
    cancel();
  }
  return Buffer.concat(chunks).toString("utf8", 0, mostBytes);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** "seed" and "stop" are words as well: they count as parameters only in quotes or after a dot. */
function isNamed(name: string, text: string): boolean {
  const word = samplingParameters.some((parameter) => parameter === name);
  return (word ? new RegExp(`['"\`.]${name}\\b`) : new RegExp(`\\b${name}\\b`)).test(text);
}

function rejectedParameters(fault: UpstreamFault): readonly string[] {
  if ((fault.status !== 400 && fault.status !== 422) || isTooLong(fault)) return [];
  return ownParameters.filter((name) => fault.param?.startsWith(name) === true || isNamed(name, fault.text));
}

/** Whether the server does not know a parameter at all; else it dislikes one value of it. */
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
  let open = 0;
  return new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      const end = Math.max(chunk.lastIndexOf(10), chunk.lastIndexOf(13));
      open = end === -1 ? open + chunk.length : chunk.length - end - 1;
      if (open > LONGEST_LINE_BYTES) controller.error(badAnswer(names, "a line of its stream has no end"));
      else controller.enqueue(chunk);
    },
  });
}

/**
 * A `fetch` for one call of an SDK. It keeps what the SDKs lose (status, `Retry-After`), maps every failure at the
 * edge, so that no SDK error with a request body in it is needed, bounds what is read, and follows no redirect: text
 * goes to the configured address or nowhere.
 */
export function guardedCall(names: RemoteNames, clock: Clock): GuardedCall {
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
        return fail(badAnswer(names, "it did not answer with an event stream"));
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
      response = await globalThis.fetch(input, { ...init, redirect: "manual" });
    } catch (error) {
      if (isAbort(error)) throw error;
      return fail(mapNetworkFault(names, error, false));
    }
    const type = response.headers.get("content-type") ?? "";
    if (!response.ok || !/^text\/event-stream\b/i.test(type) || !response.body) return refuse(response);
    state.begun = true;
    const { status } = response;
    // One SDK knows it in small letters only.
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
