import {
  choice,
  integer,
  number,
  optionalList,
  optionalText,
  optionalUrl,
  text,
  type Setting,
} from "./setting.ts";

const MIB = 1_048_576;
const MAX_TOKENS_PER_DAY = 1_000_000_000_000;

const providerNames = ["local", "openai", "huggingface", "echo"] as const;

/** Settings of the providers other than the local model's own. */
export const providerSettings = {
  AI_PROVIDER: choice(providerNames, "local", {
    doc: "The provider that answers. `echo` is for load tests.",
  }),
  AI_FALLBACK: optionalList(
    "none, or comma-separated: local, openai, huggingface",
    {
      doc: "Providers to go to when the chosen one cannot start or fails, in order. `none`: never.",
      shownDefault: "openai when it has a key",
    },
    (word) => ["none", "local", "openai", "huggingface"].includes(word),
  ),
  FALLBACK_MID_STREAM: choice(["continue", "error"], "continue", {
    doc:
      "What happens to an answer whose provider fails in its middle: another one, or the local one after its restart, goes " +
      "on from the text so far; or it ends with an error.",
  }),
  AI_TIMEOUT_SECONDS: integer(1, 86_400, 300, {
    doc: "Total time of one answer over all providers, without its time in queues.",
  }),
  AI_FIRST_TOKEN_SECONDS: number(0.05, 86_400, 60, {
    doc: "Time for the first text, from when the answer leaves the queue; then the next provider is asked.",
  }),
  AI_TOKEN_GAP_SECONDS: number(0.05, 86_400, 30, {
    doc: "Longest silence within an answer; then the next provider goes on.",
  }),
  AI_RETRIES: integer(0, 10, 2, {
    doc: "How often the same provider is asked again before its first text, where its failure may pass by itself.",
  }),
  AI_RETRY_WAIT_SECONDS: number(0, 3600, 2, {
    doc: "Longest wait before such a try; a provider whose Retry-After asks for more is left for the next one.",
  }),
  AI_BREAKER_FAILURES: integer(1, 10_000, 5, {
    doc: "Failures in a row after which a provider is left alone. A refused key or an unknown model is enough at once.",
  }),
  AI_BREAKER_SECONDS: number(0.05, 86_400, 10, {
    doc: "How long it is left alone before one message tries it again.",
  }),
  REMOTE_MAX_TOKENS_PER_DAY: integer(0, MAX_TOKENS_PER_DAY, 0, {
    doc: "Tokens of remote providers for everybody together in a day (from 00:00 UTC); 0: no limit.",
  }),
  REMOTE_MAX_TOKENS_PER_DAY_CLIENT: integer(0, MAX_TOKENS_PER_DAY, 0, {
    doc: "The same for one client: a token's `sub`, or one anonymous session; 0: no limit.",
  }),
  REMOTE_MAX_TOKENS_PER_DAY_ADDRESS: integer(0, MAX_TOKENS_PER_DAY, 0, {
    doc: "The same for all anonymous clients of one address (IPv6: of one /64); 0: no limit.",
  }),
  AI_MODEL: text("gpt-4", { doc: "Model of the openai provider." }),
  OPENAI_API_KEY: optionalText({ doc: "Key of the openai provider.", secret: true }),
  OPENAI_BASE_URL: optionalUrl({
    doc: "Base URL of any compatible server (vLLM, llama-server, Ollama), with /v1.",
  }),
  OPENAI_CONTEXT_TOKENS: integer(512, 10_000_000, 8192, {
    doc: "Window of the openai model, for fitting prompts.",
  }),
  HF_API_KEY: optionalText({ doc: "Token of the huggingface provider.", secret: true }),
  HF_MODEL: text("TinyLlama/TinyLlama-1.1B-Chat-v1.0", { doc: "Model of the huggingface provider." }),
  HF_BASE_URL: optionalUrl({ doc: "An own inference endpoint instead of the router." }),
  HF_CONTEXT_TOKENS: integer(512, 10_000_000, 2048, {
    doc: "Window of the huggingface model, for fitting prompts.",
  }),
  ECHO_TOKEN_MS: integer(0, 60_000, 0, { doc: "echo: milliseconds between tokens; 0 answers at once." }),
  ECHO_SLOTS: integer(0, 1_000_000, 0, { doc: "echo: answers at a time; 0 is no limit." }),
  ECHO_ANSWER_BYTES: integer(0, 64 * MIB, 0, { doc: "echo: length of an answer; 0 is the message's own." }),
} as const satisfies Record<string, Setting<unknown>>;
