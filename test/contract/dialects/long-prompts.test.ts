import { describeDialects, json, stream, type DialectRow } from "../../support/dialects.ts";
import { event } from "../../support/fault-scripts.ts";

const tooLong = { code: "prompt_too_long", says: "_CONTEXT_TOKENS" } as const;

/** OpenAI's shape. */
const error = (message: string, fields: object = {}) => ({ error: { message, ...fields } });
/** Google's shape, as its compatible endpoint sends it. */
const google = (code: number, message: string, status: string, details: readonly object[] = []) => [
  { error: { code, message, status, details } },
];

const lengths: readonly DialectRow[] = [
  ["OpenAI", "a code", json(400, error("Too long.", { code: "context_length_exceeded" })), tooLong],
  [
    "OpenAI",
    "429 for a request larger than the rate",
    json(
      429,
      error("Request too large for gpt-4o on tokens per min (TPM): Limit 10000, Requested 20000.", {
        code: "rate_limit_exceeded",
      }),
    ),
    tooLong,
  ],
  [
    "vLLM",
    "error with a flat body",
    json(400, {
      object: "error",
      message: "The decoder prompt (length 9000) is longer than the maximum model length of 8192.",
      type: "BadRequestError",
      code: 400,
    }),
    tooLong,
  ],
  [
    "vLLM",
    "the input in the message",
    json(
      400,
      error(
        "This model's maximum context length is 2048 tokens. However, your request has 3000 input tokens. Please reduce the length of the input messages.",
      ),
    ),
    tooLong,
  ],
  [
    "SGLang",
    "the input in the message",
    json(400, {
      message: "The input (4098 tokens) is longer than the model's context length (4096 tokens).",
    }),
    tooLong,
  ],
  [
    "llama-server",
    "a type",
    json(
      400,
      error("the request exceeds the available context size", {
        code: 400,
        type: "exceed_context_size_error",
      }),
    ),
    tooLong,
  ],
  [
    "llama-cpp-python",
    "500",
    json(500, error("Requested tokens (8031) exceed context window of 2048")),
    tooLong,
  ],
  [
    "Ollama",
    "a message",
    json(400, error("prompt too long; exceeded max context length by 12 tokens")),
    tooLong,
  ],
  [
    "LM Studio",
    "a text in error",
    json(400, {
      error:
        "Trying to keep the first 10136 tokens when context the overflows. However, the model is loaded with context length of only 7866 tokens",
    }),
    tooLong,
  ],
  [
    "TGI",
    "tokens of prompt and answer",
    json(422, {
      error:
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8192. Given: 9204 `inputs` tokens and 256 `max_new_tokens`",
      error_type: "validation",
    }),
    tooLong,
  ],
  [
    "TGI",
    "tokens of the prompt",
    json(422, {
      error: "Input validation error: `inputs` must have less than 1024 tokens. Given: 2000",
      error_type: "validation",
    }),
    tooLong,
  ],
  [
    "Gemini",
    "a list around the error",
    json(
      400,
      google(
        400,
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048575).",
        "INVALID_ARGUMENT",
      ),
    ),
    tooLong,
  ],
  [
    "Mistral",
    "a number as code",
    json(400, {
      object: "error",
      message: "Prompt contains 40000 tokens, too large for model with 32768 maximum context length",
      type: "invalid_request_prompt",
      code: "3051",
    }),
    tooLong,
  ],
  [
    "Mistral",
    "an object in message",
    json(422, {
      object: "error",
      message: { detail: [{ loc: ["body"], msg: "Prompt contains 40000 tokens, too large" }] },
      type: "invalid_request_error",
    }),
    tooLong,
  ],
  [
    "Cohere",
    "a flat message",
    json(400, {
      message: "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 4292.",
    }),
    tooLong,
  ],
  ["Groq", "413", json(413, error("Request too large for model", { code: "rate_limit_exceeded" })), tooLong],
  [
    "Anthropic",
    "a message",
    json(400, {
      type: "error",
      error: { type: "invalid_request_error", message: "prompt is too long: 208732 tokens > 200000 maximum" },
    }),
    tooLong,
  ],
  [
    "xAI",
    "a message",
    json(400, {
      code: "invalid",
      error: "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
    }),
    tooLong,
  ],
  [
    "Kimi",
    "a message",
    json(
      400,
      error("Invalid request: Your request exceeded model token limit: 8192", {
        type: "invalid_request_error",
      }),
    ),
    tooLong,
  ],
  [
    "DashScope",
    "a flat code",
    json(400, { code: "InvalidParameter", message: "Range of input length should be [1, 30720]" }),
    tooLong,
  ],
  [
    "OpenRouter",
    "the error of another server as JSON",
    json(
      400,
      error("Provider returned error", {
        code: 400,
        metadata: { raw: JSON.stringify(error("prompt is too long: 9 tokens > 8 maximum")) },
      }),
    ),
    tooLong,
  ],
  ["a server", "in band", stream(event(error("context size has been exceeded"))), tooLong],
  [
    "Cohere",
    "the answer's limit is not the prompt",
    json(400, {
      message:
        "too many tokens: max tokens must be less than or equal to 4096, the maximum output for this model - received 8192.",
    }),
    { code: "bad_request" },
  ],
];

describeDialects("the words for a long prompt", lengths);
