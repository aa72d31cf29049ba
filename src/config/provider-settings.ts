import { baseUrl, headerKey } from "./remote-setting.ts";
import { choice, integer, number, optionalList, text, type Setting } from "./setting.ts";

const MIB = 1_048_576;
const MAX_TOKENS_PER_DAY = 1_000_000_000_000;

const providerNames = ["local", "openai", "huggingface", "echo"] as const;

/** Settings of the providers, except those of the local model. */
export const providerSettings = {
  AI_PROVIDER: choice(providerNames, "local", {
    doc: "Provider that answers messages. `echo` is for load tests.",
  }),
  AI_FALLBACK: optionalList(
    "none, or comma-separated: local, openai, huggingface",
    {
      doc: "Providers to use, in order, if the chosen one cannot start or fails. `none` disables fallbacks.",
      shownDefault: "openai if OPENAI_API_KEY is set",
    },
    (word) => ["none", "local", "openai", "huggingface"].includes(word),
  ),
  FALLBACK_MID_STREAM: choice(["continue", "error"], "continue", {
    doc:
      "What happens if a provider fails in the middle of an answer. `continue`: another provider, or the local one after " +
      "its restart, continues the text. `error`: the answer ends with an error.",
  }),
  AI_TIMEOUT_SECONDS: integer(1, 86_400, 300, {
    doc: "Maximum seconds for one answer over all providers, time in queues excluded. Then it ends with `provider_timeout`.",
  }),
  AI_FIRST_TOKEN_SECONDS: number(0.05, 86_400, 60, {
    doc: "Maximum seconds from leaving the queue to the first text. Then the next provider is tried.",
  }),
  AI_TOKEN_GAP_SECONDS: number(0.05, 86_400, 30, {
    doc: "Maximum seconds without new text within an answer. Then the next provider continues it.",
  }),
  AI_RETRIES: integer(0, 10, 2, {
    doc: "Number of retries on the same provider before its first text, for failures that may be temporary.",
  }),
  AI_RETRY_WAIT_SECONDS: number(0, 3600, 2, {
    doc: "Maximum seconds to wait before a retry. If a provider's Retry-After is longer, the next provider is tried.",
  }),
  AI_BREAKER_FAILURES: integer(1, 10_000, 5, {
    doc: "Consecutive failures after which a provider is skipped. A rejected key or an unknown model is enough by itself.",
  }),
  AI_BREAKER_SECONDS: number(0.05, 86_400, 10, {
    doc: "Seconds for which a failing provider is skipped. Then one message is sent to it as a probe.",
  }),
  REMOTE_MAX_TOKENS_PER_DAY: integer(0, MAX_TOKENS_PER_DAY, 0, {
    doc:
      "Maximum tokens of remote providers per day (from 00:00 UTC) for all clients together. Calls over it are refused " +
      "with `spend_limit`. 0: no limit.",
  }),
  REMOTE_MAX_TOKENS_PER_DAY_CLIENT: integer(0, MAX_TOKENS_PER_DAY, 0, {
    doc: "The same limit for each client (the token's `sub`, or an anonymous session). 0: no limit.",
  }),
  REMOTE_MAX_TOKENS_PER_DAY_ADDRESS: integer(0, MAX_TOKENS_PER_DAY, 0, {
    doc: "The same limit for all anonymous clients of one IP address (IPv6: of one /64 network). 0: no limit.",
  }),
  AI_MODEL: text("gpt-4", { doc: "Model of the openai provider." }),
  OPENAI_API_KEY: headerKey({ doc: "API key of the openai provider." }),
  OPENAI_BASE_URL: baseUrl({
    doc:
      "Base URL of an OpenAI-compatible server (vLLM, llama-server, Ollama), including /v1. A query such as Azure's " +
      "`?api-version=…` is sent with each request; `/chat/completions` may be included. Not set: OpenAI itself.",
  }),
  OPENAI_CONTEXT_TOKENS: integer(512, 10_000_000, 8192, {
    doc: "Context window of the openai model in tokens. Older turns are left out of prompts that exceed it.",
  }),
  HF_API_KEY: headerKey({ doc: "Access token of the huggingface provider." }),
  HF_MODEL: text("TinyLlama/TinyLlama-1.1B-Chat-v1.0", { doc: "Model of the huggingface provider." }),
  HF_BASE_URL: baseUrl({
    doc: "Base URL of your own inference endpoint; a query is sent with each request. Not set: the Hugging Face router.",
  }),
  HF_CONTEXT_TOKENS: integer(512, 10_000_000, 2048, {
    doc: "Context window of the huggingface model in tokens. Older turns are left out of prompts that exceed it.",
  }),
  ECHO_TOKEN_MS: integer(0, 60_000, 0, {
    doc: "Echo provider: milliseconds between tokens. 0 sends the answer at once.",
  }),
  ECHO_SLOTS: integer(0, 1_000_000, 0, { doc: "Echo provider: answers at a time. 0: no limit." }),
  ECHO_ANSWER_BYTES: integer(0, 64 * MIB, 0, {
    doc: "Echo provider: bytes of an answer. 0: those of the message.",
  }),
} as const satisfies Record<string, Setting<unknown>>;
