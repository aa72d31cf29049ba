import OpenAI from "openai";
import type { ChatProvider } from "../provider.ts";
import { accessHeaders, chatFetch, modelsUrlOf, parseBaseUrl } from "../remote/base-url.ts";
import type { RemoteNames } from "../remote/fault-table.ts";
import { createRemoteProvider, type RemoteDependencies } from "../remote/remote-provider.ts";
import { checkServer } from "../remote/start-check.ts";

export interface OpenAiOptions {
  /** Many servers behind `baseUrl` need no key. */
  readonly apiKey: string | undefined;
  /** Base URL of a compatible server, including `/v1`; absent: OpenAI itself. May contain credentials. */
  readonly baseUrl: string | undefined;
  readonly model: string;
  /** Context window of the model in tokens. */
  readonly contextTokens: number;
}

const names: RemoteNames = {
  provider: "openai",
  keySetting: "OPENAI_API_KEY",
  modelSetting: "AI_MODEL",
  baseUrlSetting: "OPENAI_BASE_URL",
  windowSetting: "OPENAI_CONTEXT_TOKENS",
};

const OPENAI_URL = "https://api.openai.com/v1";
/** The longest possible timer, so that the SDK's timeout never ends a call: it would do so without an error. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** Creates the `openai` provider: OpenAI, or any server with a compatible chat completions API. */
export function createOpenAiProvider(options: OpenAiOptions, deps: RemoteDependencies): ChatProvider {
  const base = parseBaseUrl(options.baseUrl ?? OPENAI_URL);
  // All options that the SDK would otherwise read from the environment are set explicitly.
  const settings = {
    apiKey: options.apiKey || "none",
    adminAPIKey: null,
    organization: null,
    project: null,
    webhookSecret: null,
    baseURL: base.url,
    // Null removes the header that the SDK would send without a key.
    defaultHeaders: { authorization: null, ...accessHeaders(base, options.apiKey) },
    maxRetries: 0,
    timeout: MAX_TIMEOUT_MS,
    // The log of the SDK would contain the text of chunks.
    logLevel: "off",
  } as const;
  return createRemoteProvider(
    {
      names,
      model: options.model,
      contextTokens: options.contextTokens,
      remote: !base.loopback,
      open: (body, { signal, fetch }) =>
        new OpenAI({ ...settings, fetch: chatFetch(base, fetch) }).chat.completions.create(body, { signal }),
    },
    deps,
  );
}

/**
 * Creates the provider after checking its server.
 *
 * @throws ProviderError `provider_auth` if the server rejects the key
 */
export async function startOpenAiProvider(
  options: OpenAiOptions,
  deps: RemoteDependencies,
): Promise<ChatProvider> {
  const { apiKey, baseUrl, model, contextTokens } = options;
  const base = parseBaseUrl(baseUrl ?? OPENAI_URL);
  const headers = accessHeaders(base, apiKey);
  const server = { names, modelsUrl: modelsUrlOf(base), headers, model, contextTokens };
  return createOpenAiProvider({ ...options, contextTokens: await checkServer(server, deps) }, deps);
}
