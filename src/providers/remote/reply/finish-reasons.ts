/**
 * What a finish reason means. `stop`, `length`: the answer is whole. `content_filter`: the server refused the content.
 * `failed`: the server broke the answer off. `none`: the answer has not ended yet. `unknown`: not in the table.
 */
export type ReasonMeaning = "stop" | "length" | "content_filter" | "failed" | "none" | "unknown";

/** Words with one meaning. `docs/providers.md` lists these rows; a test compares the two. */
export interface ReasonRow {
  readonly meaning: Exclude<ReasonMeaning, "unknown">;
  /** Case, underscores, hyphens and the prefix `FINISH_REASON_` do not matter. */
  readonly words: readonly string[];
}

/**
 * Finish reasons of OpenAI, Azure, vLLM, SGLang, llama-server, Ollama, LM Studio, TGI, Gemini, Mistral, DeepSeek, Cohere,
 * OpenRouter, Groq, Anthropic, Bedrock, Zhipu and MiniMax.
 */
export const finishWords: readonly ReasonRow[] = [
  {
    meaning: "stop",
    words: [
      ...["stop", "stopped", "stop_sequence", "stop_token", "stop_str", "eos", "eos_token", "eos_found"],
      ...["end", "end_turn", "end_of_text", "end_of_sequence", "complete", "completed", "done", "finished"],
      ...["finish", "success", "normal", "natural", "pause_turn"],
    ],
  },
  {
    meaning: "length",
    words: [
      ...["length", "max_length", "model_length", "length_limit", "length_capped", "limit", "truncated"],
      ...["max_tokens", "max_new_tokens", "max_output_tokens", "max_completion_tokens", "max_tokens_reached"],
      ...["token_limit", "token_limit_reached", "output_limit", "context_length", "context_length_exceeded"],
      ...["context_limit", "context_window", "context_window_exceeded", "model_context_window_exceeded"],
      ...["context_full", "error_limit"],
    ],
  },
  {
    meaning: "content_filter",
    words: [
      ...["content_filter", "content_filtered", "content_filtering", "content_policy", "content_blocked"],
      ...["safety", "safety_stop", "image_safety", "recitation", "image_recitation", "blocklist", "blocked"],
      ...["prohibited_content", "image_prohibited_content", "prohibited", "spii", "language", "model_armor"],
      ...["jailbreak", "refusal", "refused", "error_toxic", "toxic", "sensitive", "moderation", "moderated"],
      ...["flagged", "policy_violation", "guardrail", "guardrails", "guardrail_intervened"],
    ],
  },
  {
    meaning: "failed",
    words: [
      ...["error", "failed", "failure", "abort", "aborted", "cancel", "canceled", "cancelled", "user_cancel"],
      ...["interrupted", "timeout", "network_error", "server_error", "internal_error", "overloaded"],
      ...["insufficient_system_resource", "malformed_response"],
      // This service offers no tools, so a call of one takes the place of the answer.
      ...["tool_calls", "tool_call", "tool_use", "function_call", "unexpected_tool_call"],
      ...["too_many_tool_calls", "malformed_function_call"],
    ],
  },
  {
    meaning: "none",
    words: ["null", "none", "nil", "undefined", "unspecified", "in_progress", "incomplete", "not_finished"],
  },
];

function squeezed(word: string): string {
  return word.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "");
}

const meanings: ReadonlyMap<string, ReasonMeaning> = new Map(
  finishWords.flatMap(({ meaning, words }) => words.map((word) => [squeezed(word), meaning] as const)),
);

/** Prefix of the names of an enumeration, such as `FinishReason.STOP`, once it is squeezed. */
const ENUM_NAME = "finishreason";

function meaningOfWord(word: string): ReasonMeaning | undefined {
  const plain = squeezed(word);
  return meanings.get(plain.startsWith(ENUM_NAME) ? plain.slice(ENUM_NAME.length) : plain);
}

/** The meaning of a finish reason as a server sent it, such as `MAX_TOKENS` or `content_filter: RECITATION`. */
export function meaningOf(reason: string): ReasonMeaning {
  if (squeezed(reason) === "") return "none";
  const whole = meaningOfWord(reason);
  if (whole !== undefined) return whole;
  for (const part of reason.split(/[\s:.,;()/|]+/)) {
    const meaning = meaningOfWord(part);
    if (meaning !== undefined) return meaning;
  }
  return "unknown";
}
