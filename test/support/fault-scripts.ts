import type { FaultScript, FaultStep } from "./fault-server.ts";

/** Default tokens of the scripts, including accents, an emoji and a line break. */
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

/** A whole answer in OpenAI's form: role, texts, finish reason, usage, [DONE]. */
export function whole(tokens: readonly string[] = answerTokens): FaultScript {
  return { steps: sends(...streamed(tokens), ...ending) };
}

/** A whole answer with the finish reason `reason`. */
export function finishedBy(reason: string, tokens: readonly string[] = answerTokens): FaultScript {
  return { steps: sends(...streamed(tokens), finishChunk(reason), usageChunk(), done) };
}

/** Milliseconds between the last text and a cut, so that a busy client has read the text. */
const CUT_MS = 100;

/** Sends `n` tokens and then destroys the connection; 0: right after the head and the role. */
export function cutAfter(n: number, tokens: readonly string[] = answerTokens): FaultScript {
  return { steps: [...sends(...streamed(tokens.slice(0, n))), { waitMs: CUT_MS }, { cut: true }] };
}

/** Sends `n` tokens and then ends the response properly without a finish reason: a silently truncated answer. */
export function endAfter(n: number): FaultScript {
  return { steps: sends(...streamed(answerTokens.slice(0, n))) };
}

/** Sends `n` tokens and [DONE], but no finish reason. */
export function noFinishReason(n = answerTokens.length): FaultScript {
  return { steps: sends(...streamed(answerTokens.slice(0, n)), done) };
}

/** Sends `n` tokens and then nothing more; -1: not even the head. */
export function stallAfter(n: number): FaultScript {
  return { steps: [...(n < 0 ? [] : sends(...streamed(answerTokens.slice(0, n)))), { stall: true }] };
}

/** A whole answer with `ms` milliseconds before every token. */
export function slowDrip(ms: number, tokens: readonly string[] = answerTokens): FaultScript {
  const drops = tokens.flatMap((token) => [{ waitMs: ms }, { send: textChunk(token) }]);
  return { steps: [...sends(roleChunk()), ...drops, ...sends(...ending)] };
}

/** Sends `n` tokens and then an error within the stream. */
export function inBandError(
  n: number,
  error: unknown = { message: "boom", type: "server_error" },
): FaultScript {
  return { steps: sends(...streamed(answerTokens.slice(0, n)), event({ error })) };
}

/** A response with a status and a body, which is sent as JSON unless it is a string. */
export function status(
  code: number,
  body: unknown = { error: { message: "no" } },
  headers: Readonly<Record<string, string>> = {},
): FaultScript {
  const type = typeof body === "string" ? "text/html" : "application/json";
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return { status: code, headers: { "content-type": type, ...headers }, steps: sends(text) };
}

/** 200 with a web page, as sent by a captive portal or for a wrong base URL. */
export function wrongContentType(): FaultScript {
  return { headers: { "content-type": "text/html" }, steps: sends("<!doctype html><title>Sign in</title>") };
}

/** A whole answer in which the chunk after `n` tokens ends in the middle of its JSON. */
export function truncatedJson(n = 3): FaultScript {
  const broken = `${textChunk(" capital").trimEnd().slice(0, -12)}\n\n`;
  return { steps: sends(...streamed(answerTokens.slice(0, n)), broken, ...ending) };
}

/** A whole answer written `bytes` bytes at a time, which splits characters, lines and events. */
export function splitEvery(bytes: number): FaultScript {
  const all = Buffer.from([...streamed(answerTokens), ...ending].join(""), "utf8");
  const steps: FaultStep[] = [];
  for (let at = 0; at < all.length; at += bytes) {
    steps.push({ send: all.subarray(at, at + bytes) });
    // Waits make TCP send separate segments. Not after every piece, to keep the script short.
    if (steps.length % 16 === 0) steps.push({ waitMs: 1 });
  }
  return { steps };
}

/** A whole answer in which the surrogate pair of an emoji is split over two chunks. */
export function splitSurrogates(): FaultScript {
  return { steps: sends(roleChunk(), textChunk("a\ud83d"), textChunk("\ude00b"), ...ending) };
}

/** A whole answer in which the last text and the finish reason are sent twice. */
export function duplicateFinal(): FaultScript {
  const last = event({ ...head, choices: [{ index: 0, delta: { content: "." }, finish_reason: "stop" }] });
  return { steps: sends(...streamed(answerTokens.slice(0, -1)), last, last, usageChunk(), done) };
}

/** A whole answer without usage and [DONE]; then the connection ends, is cut, or stays open without data. */
export function bareEnding(after: "end" | "cut" | "stall"): FaultScript {
  const steps = sends(...streamed(answerTokens), finishChunk("stop"));
  if (after === "stall") steps.push({ stall: true });
  if (after === "cut") steps.push({ waitMs: CUT_MS }, { cut: true });
  return { steps };
}
