import type { FaultScript, FaultStep } from "./fault-server.ts";

/** The tokens that scripts send unless told otherwise: accents, an emoji and a new line included. */
export const answerTokens = [
  "Paris",
  " is",
  " the",
  " cap",
  "ital",
  " of",
  " la",
  " belle",
  " Fran\u00e7a",
  "ise",
  " \u{1f600}",
  "\n",
  ".",
];
export const answerText = answerTokens.join("");
export const answerUsage = { prompt_tokens: 21, completion_tokens: 13, total_tokens: 34 };

/** One server-sent event. */
export function event(data: unknown): string {
  return `data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`;
}

const head = { id: "chatcmpl-1", object: "chat.completion.chunk", created: 1_700_000_000, model: "m" };

export function roleChunk(): string {
  const choices = [{ index: 0, delta: { role: "assistant", content: "" }, finish_reason: null }];
  return event({ ...head, choices });
}

export function textChunk(content: string): string {
  return event({ ...head, choices: [{ index: 0, delta: { content }, finish_reason: null }] });
}

export function finishChunk(reason: string | null): string {
  return event({ ...head, choices: [{ index: 0, delta: {}, finish_reason: reason }] });
}

export function usageChunk(): string {
  return event({
    ...head,
    choices: [],
    usage: { ...answerUsage, prompt_tokens_details: { cached_tokens: 8 } },
  });
}

export const done = event("[DONE]");

function sends(...texts: (string | Uint8Array)[]): FaultStep[] {
  return texts.map((send) => ({ send }));
}

const ending = [finishChunk("stop"), usageChunk(), done];

function streamed(tokens: readonly string[]): string[] {
  return [roleChunk(), ...tokens.map(textChunk)];
}

/** A whole answer as OpenAI sends it: role, texts, finish reason, usage, [DONE]. */
export function whole(tokens: readonly string[] = answerTokens): FaultScript {
  return { steps: sends(...streamed(tokens), ...ending) };
}

/** Whole, but the finish reason is `reason`. */
export function finishedBy(reason: string, tokens: readonly string[] = answerTokens): FaultScript {
  return { steps: sends(...streamed(tokens), finishChunk(reason), usageChunk(), done) };
}

/** `n` tokens and then the connection is destroyed; 0: right after the head and the role. */
export function cutAfter(n: number, tokens: readonly string[] = answerTokens): FaultScript {
  return { steps: [...sends(...streamed(tokens.slice(0, n))), { waitMs: 20 }, { cut: true }] };
}

/** `n` tokens and then a proper end of the response without a finish reason: the silently short answer. */
export function endAfter(n: number): FaultScript {
  return { steps: sends(...streamed(answerTokens.slice(0, n))) };
}

/** `n` tokens, no finish reason, but [DONE]. */
export function noFinishReason(n = answerTokens.length): FaultScript {
  return { steps: sends(...streamed(answerTokens.slice(0, n)), done) };
}

/** `n` tokens and then silence; -1: silence before the head. */
export function stallAfter(n: number): FaultScript {
  return { steps: [...(n < 0 ? [] : sends(...streamed(answerTokens.slice(0, n)))), { stall: true }] };
}

/** Whole, `ms` before every token. */
export function slowDrip(ms: number, tokens: readonly string[] = answerTokens): FaultScript {
  const drops = tokens.flatMap((token) => [{ waitMs: ms }, { send: textChunk(token) }]);
  return { steps: [...sends(roleChunk()), ...drops, ...sends(...ending)] };
}

/** `n` tokens and then an error within the stream. */
export function inBandError(
  n: number,
  error: unknown = { message: "boom", type: "server_error" },
): FaultScript {
  return { steps: sends(...streamed(answerTokens.slice(0, n)), event({ error })) };
}

/** A status with a body, JSON unless it is a text. */
export function status(
  code: number,
  body: unknown = { error: { message: "no" } },
  headers: Readonly<Record<string, string>> = {},
): FaultScript {
  const type = typeof body === "string" ? "text/html" : "application/json";
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return { status: code, headers: { "content-type": type, ...headers }, steps: sends(text) };
}

/** 200 with a web page, as a captive portal or a wrong base URL gives. */
export function wrongContentType(): FaultScript {
  return { headers: { "content-type": "text/html" }, steps: sends("<!doctype html><title>Sign in</title>") };
}

/** The chunk after `n` tokens ends in the middle of its JSON. */
export function truncatedJson(n = 3): FaultScript {
  const broken = `${textChunk(" capital").trimEnd().slice(0, -12)}\n\n`;
  return { steps: sends(...streamed(answerTokens.slice(0, n)), broken, ...ending) };
}

/** Whole, but written `bytes` bytes at a time: it splits characters, lines and events. */
export function splitEvery(bytes: number): FaultScript {
  const all = Buffer.from([...streamed(answerTokens), ...ending].join(""), "utf8");
  const steps: FaultStep[] = [];
  for (let at = 0; at < all.length; at += bytes) {
    steps.push({ send: all.subarray(at, at + bytes) });
    // Separate segments, so that the client sees the pieces; not for each, to keep it short.
    if (steps.length % 16 === 0) steps.push({ waitMs: 1 });
  }
  return { steps };
}

/** Whole, but an emoji comes as the two halves of its surrogate pair in two chunks. */
export function splitSurrogates(): FaultScript {
  return { steps: sends(roleChunk(), textChunk("a\ud83d"), textChunk("\ude00b"), ...ending) };
}

/** Whole, but the last text and the finish reason come twice. */
export function duplicateFinal(): FaultScript {
  const last = event({ ...head, choices: [{ index: 0, delta: { content: "." }, finish_reason: "stop" }] });
  return { steps: sends(...streamed(answerTokens.slice(0, -1)), last, last, usageChunk(), done) };
}

/** Whole, but without usage and [DONE]; then the connection ends, is cut, or says nothing more. */
export function bareEnding(after: "end" | "cut" | "stall"): FaultScript {
  const steps = sends(...streamed(answerTokens), finishChunk("stop"));
  if (after === "stall") steps.push({ stall: true });
  if (after === "cut") steps.push({ waitMs: 20 }, { cut: true });
  return { steps };
}
