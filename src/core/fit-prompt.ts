import { ServiceError } from "./errors.ts";

/** One turn of a conversation. */
export interface Turn {
  readonly role: "user" | "assistant";
  readonly content: string;
}

export interface FitInput {
  /** System text and context as one system message; may be empty. */
  readonly system: string;
  /** Oldest first. The last one is the user's new message and is never dropped. */
  readonly turns: readonly Turn[];
  /** Size of the model's window in tokens, for prompt and answer together. */
  readonly windowTokens: number;
  /** Tokens reserved for the answer. */
  readonly outputTokens: number;
  /** Number of tokens of one text, without role markers. Above the window, a lower bound is enough. */
  countTokens(text: string): number;
  /** Tokens that a template adds around each message. */
  readonly overheadPerMessage: number;
}

export interface FittedPrompt {
  /** The turns that remain: a suffix of the input turns. */
  readonly turns: readonly Turn[];
  readonly droppedTurns: number;
  /** Tokens of the remaining prompt, as counted by `countTokens`. */
  readonly promptTokens: number;
}

/** UTF-8 bytes per token, as a rough estimate over languages. */
const BYTES_PER_TOKEN = 3;

/** Tokens that chat APIs add around each message: role markers and separators, as OpenAI counts them. */
export const OVERHEAD_PER_MESSAGE = 4;

/** Estimated tokens of a text without a tokenizer: UTF-8 bytes / 3, rounded up. */
export function estimateTokens(text: string): number {
  return Math.ceil(Buffer.byteLength(text, "utf8") / BYTES_PER_TOKEN);
}

/**
 * Estimated tokens of one piece of a stream: UTF-8 bytes / 3, rounded to the nearest integer so that errors do not add
 * up over the pieces; at least 1, and 0 for an empty piece.
 */
export function estimatePieceTokens(piece: string): number {
  return piece === "" ? 0 : Math.max(1, Math.round(Buffer.byteLength(piece, "utf8") / BYTES_PER_TOKEN));
}

/** Share of the window that a prompt fills after a cut. Large, rare cuts keep the KV prefix stable for longer. */
export const FILL_AFTER_CUT = 0.6;

/** After a cut, a prompt fills at most this share of the window less the reserve for the answer. */
const MAX_FILL_OF_LIMIT = 0.8;

/**
 * Joins the system text and the client's context into the single system message of a request. Either may be empty.
 */
export function systemMessage(system: string, context: string | null): string {
  if (!context) return system;
  const labelled = `Context from the user:\n${context}`;
  return system ? `${system}\n\n${labelled}` : labelled;
}

/**
 * Drops the oldest turns until the prompt fits. The result is stable over later turns: the function replays the history
 * from its start and cuts it to {@link FILL_AFTER_CUT} of the window each time it exceeds the window. A window that
 * moved with every turn would prevent any reuse of KV.
 *
 * @throws ServiceError `prompt_too_long` when system text and the last message alone exceed the window less the output.
 */
export function fitPrompt(input: FitInput): FittedPrompt {
  const { turns, windowTokens, outputTokens, overheadPerMessage } = input;
  const limit = windowTokens - outputTokens;
  const target = Math.floor(Math.min(windowTokens * FILL_AFTER_CUT, limit * MAX_FILL_OF_LIMIT));
  const fixed = input.system ? input.countTokens(input.system) + overheadPerMessage : 0;
  const costs = turns.map((turn) => input.countTokens(turn.content) + overheadPerMessage);
  const last = turns.length - 1;
  const least = fixed + (costs[last] ?? 0);
  if (least > limit) {
    throw new ServiceError(
      "prompt_too_long",
      `System text, context and message take at least ${least} tokens; this model has room for ${Math.max(limit, 0)} ` +
        `(window ${windowTokens} less ${outputTokens} for the answer). Shorten the message or the context, or lower max_tokens.`,
    );
  }
  let cut = 0;
  let used = fixed;
  for (let index = 0; index <= last; index++) {
    used += costs[index] ?? 0;
    if (turns[index]?.role !== "user" || used <= limit) continue;
    while (used > target && cut < index) used -= costs[cut++] ?? 0;
    // A prompt must start with a user turn.
    while (cut < index && turns[cut]?.role !== "user") used -= costs[cut++] ?? 0;
  }
  return { turns: turns.slice(cut), droppedTurns: cut, promptTokens: used };
}
