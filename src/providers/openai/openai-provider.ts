import OpenAI, { APIError } from "openai";
import type { ChatProvider } from "../provider.ts";
import { parseBaseUrl, type BaseUrl } from "../remote/base-url.ts";
import type { RemoteNames } from "../remote/fault-table.ts";
import { createRemoteProvider, type RemoteDependencies } from "../remote/remote-provider.ts";
import { checkServer } from "../remote/start-check.ts";

export interface OpenAiOptions {
  /** Not needed by many servers behind `baseUrl`. */
  readonly apiKey: string | undefined;
  /** A compatible server, with `/v1`; absent: OpenAI itself. May hold a credential. */
  readonly baseUrl: string | undefined;
  readonly model: string;
  /** The model's window in tokens. */
  readonly contextTokens: number;
}

const names: RemoteNames = {
  provider: "openai",
  keySetting: "OPENAI_API_KEY",
  modelSetting: "AI_MODEL",
  baseUrlSetting: "OPENAI_BASE_URL",
  windowSetting: "OPENAI_CONTEXT_TOKENS",
};

const OWN_SERVICE = "https://api.openai.com/v1";
/** The SDK's timer must never be the one that ends a call: it does so without a word. */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

function accessOf({ apiKey, baseUrl }: OpenAiOptions): { base: BaseUrl; authorization: string | undefined } {
  const base = parseBaseUrl(baseUrl ?? OWN_SERVICE);
  return { base, authorization: apiKey ? `Bearer ${apiKey}` : base.authorization };
}

/** `openai`: OpenAI, or any server that speaks its chat completions. */
export function createOpenAiProvider(options: OpenAiOptions, deps: RemoteDependencies): ChatProvider {
  const { base, authorization } = accessOf(options);
  // Everything that the SDK would otherwise take from the environment is given here.
  const settings = {
    apiKey: options.apiKey || "none",
    adminAPIKey: null,
    organization: null,
    project: null,
    webhookSecret: null,
    baseURL: base.url,
    defaultHeaders: { Authorization: authorization ?? null },
    maxRetries: 0,
    timeout: LONGEST_TIMEOUT_MS,
    // It logs chunks with their text.
    logLevel: "off",
  } as const;
  return createRemoteProvider(
    {
      names,
      model: options.model,
      contextTokens: options.contextTokens,
      remote: !base.loopback,
      open: (body, { signal, fetch }) =>
        new OpenAI({ ...settings, fetch }).chat.completions.create(body, { signal }),
      inBandError: (error) =>
        error instanceof APIError && error.error !== undefined ? { error: error.error } : undefined,
    },
    deps,
  );
}

/**
 * The provider, after a look at its server.
 *
 * @throws ProviderError `provider_auth` when the server refuses the key
 */
export async function startOpenAiProvider(
  options: OpenAiOptions,
  deps: RemoteDependencies,
): Promise<ChatProvider> {
  const { base, authorization } = accessOf(options);
  const { model, contextTokens } = options;
  const server = { names, modelsUrl: `${base.url}/models`, authorization, model, contextTokens };
  return createOpenAiProvider({ ...options, contextTokens: await checkServer(server, deps) }, deps);
}
