import { ServiceError } from "./errors.ts";

/** One turn of a conversation as a model sees it. */
export interface Turn {
  readonly role: "user" | "assistant";
  readonly content: string;
}

export interface FitInput {
  /** System text and context as one system message; may be empty. */
  readonly system: string;
  /** Oldest first; the last one is the user's new message and is never dropped. */
  readonly turns: readonly Turn[];
  /** The model's window in tokens, prompt and answer together. */
  readonly windowTokens: number;
  /** Tokens reserved for the answer. */
  readonly outputTokens: number;
  /** Tokens of one text as it stands in the prompt, without its role markers. */
  countTokens(text: string): number;
  /** Tokens that a template adds around each message. */
  readonly overheadPerMessage: number;
}

export interface FittedPrompt {
  /** The turns that remain: a suffix of the input's. */
  readonly turns: readonly Turn[];
  readonly droppedTurns: number;
  /** Prompt tokens of what remains, as counted by `countTokens`. */
  readonly promptTokens: number;
}

const BYTES_PER_TOKEN = 3;

/** Tokens that chat APIs add around each message: role markers and separators, as OpenAI counts them. */
export const OVERHEAD_PER_MESSAGE = 4;

/** Tokens of a text by the rule of thumb where no tokenizer is at hand: UTF-8 bytes / 3, rounded up. */
export function estimateTokens(text: string): number {
  return Math.ceil(Buffer.byteLength(text, "utf8") / BYTES_PER_TOKEN);
}

/** As {@link estimateTokens} for a piece of a stream: rounded to the nearest, at least 1, so that the sum over pieces stays right. */
export function estimatePieceTokens(piece: string): number {
  return piece === "" ? 0 : Math.max(1, Math.round(Buffer.byteLength(piece, "utf8") / BYTES_PER_TOKEN));
}

/** The share of the window that a prompt fills after a cut. Cutting deep and rarely keeps the KV prefix stable. */
export const FILL_AFTER_CUT = 0.6;

/** Where the answer's reserve takes so much of the window that the share above is no cut, a cut goes down to this share of the rest. */
const MIN_CUT = 0.8;

/**
 * Joins the system text and a client's context into the one system message that every provider gets.
 * Either may be empty.
 */
export function systemMessage(system: string, context: string | null): string {
  if (!context) return system;
  const labelled = `Context from the user:\n${context}`;
  return system ? `${system}\n\n${labelled}` : labelled;
}

/**
 * Drops the oldest turns until the prompt fits, in a way that is the same on every later turn: the history is replayed
 * from its start, and each time it outgrows the window it is cut to {@link FILL_AFTER_CUT} of it. A window that moved
 * with each turn would reuse no KV.
 *
 * @throws ServiceError `prompt_too_long` when system text and the last message alone exceed the window less the output.
 */
export function fitPrompt(input: FitInput): FittedPrompt {
  const { turns, windowTokens, outputTokens, overheadPerMessage } = input;
  const limit = windowTokens - outputTokens;
  const target = Math.floor(Math.min(windowTokens * FILL_AFTER_CUT, limit * MIN_CUT));
  const fixed = input.system ? input.countTokens(input.system) + overheadPerMessage : 0;
  const costs = turns.map((turn) => input.countTokens(turn.content) + overheadPerMessage);
  const last = turns.length - 1;
  const least = fixed + (costs[last] ?? 0);
  if (least > limit) {
    throw new ServiceError(
      "prompt_too_long",
      `System text, context and message take ${least} tokens; this model has room for ${Math.max(limit, 0)} ` +
        `(window ${windowTokens} less ${outputTokens} for the answer). Shorten the message, the context or max_tokens.`,
    );
  }
  let cut = 0;
  let used = fixed;
  for (let index = 0; index <= last; index++) {
    used += costs[index] ?? 0;
    if (turns[index]?.role !== "user" || used <= limit) continue;
    while (used > target && cut < index) used -= costs[cut++] ?? 0;
    // A conversation handed to a model starts with the user.
    while (cut < index && turns[cut]?.role !== "user") used -= costs[cut++] ?? 0;
  }
  return { turns: turns.slice(cut), droppedTurns: cut, promptTokens: used };
}
