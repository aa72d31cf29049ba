import { chatCompletionStream } from "@huggingface/inference";
import { ProviderError } from "../provider-error.ts";
import type { ChatProvider } from "../provider.ts";
import { accessHeaders, chatFetch, modelsUrlOf, parseBaseUrl, type BaseUrl } from "../remote/base-url.ts";
import type { RemoteNames } from "../remote/fault-table.ts";
import type { Fetch } from "../remote/guarded-fetch.ts";
import { createRemoteProvider, type RemoteDependencies } from "../remote/remote-provider.ts";
import { checkServer, probe } from "../remote/start-check.ts";

export interface HuggingFaceOptions {
  /** Many servers behind `baseUrl` need no key. */
  readonly apiKey: string | undefined;
  /** Base URL of an own inference endpoint; absent: the Hugging Face router. May contain credentials. */
  readonly baseUrl: string | undefined;
  readonly model: string;
  /** Context window of the model in tokens. */
  readonly contextTokens: number;
}

const names: RemoteNames = {
  provider: "huggingface",
  keySetting: "HF_API_KEY",
  modelSetting: "HF_MODEL",
  baseUrlSetting: "HF_BASE_URL",
  windowSetting: "HF_CONTEXT_TOKENS",
};

/** The base URL of an own endpoint. Its `/v1` may be left out. */
function endpointOf(baseUrl: string): BaseUrl {
  const base = parseBaseUrl(baseUrl);
  return base.hasChatPath || base.url.endsWith("/v1") ? base : { ...base, url: `${base.url}/v1` };
}

/** Sends requests to an own endpoint with its headers, since the SDK supports bearer tokens only. */
function endpointFetch(base: BaseUrl, apiKey: string | undefined, fetch: Fetch): Fetch {
  const toChat = chatFetch(base, fetch);
  return (input, init) => {
    const headers = new Headers(init?.headers);
    for (const [name, value] of Object.entries(accessHeaders(base, apiKey))) headers.set(name, value);
    return toChat(input, { ...init, headers });
  };
}

/**
 * Creates the `huggingface` provider: the Hugging Face router, or an own endpoint with the same chat completions API.
 */
export function createHuggingFaceProvider(
  options: HuggingFaceOptions,
  deps: RemoteDependencies,
): ChatProvider {
  const base = options.baseUrl === undefined ? undefined : endpointOf(options.baseUrl);
  const { apiKey, model, contextTokens } = options;
  return createRemoteProvider(
    {
      names,
      model,
      contextTokens,
      remote: base?.loopback !== true,
      open: (body, { signal, fetch }) =>
        Promise.resolve(
          chatCompletionStream(
            { ...body, ...(apiKey && { accessToken: apiKey }), ...(base && { endpointUrl: base.url }) },
            {
              signal,
              fetch: base === undefined ? fetch : endpointFetch(base, apiKey, fetch),
              // By default the SDK retries on 503 without a delay or a limit.
              retry_on_error: false,
            },
          ),
        ),
    },
    deps,
  );
}

const CHOOSE_ANOTHER =
  "Set HF_MODEL to a model from https://huggingface.co/models?inference_provider=all, set HF_BASE_URL to your own " +
  "endpoint, or run a model on this machine with AI_PROVIDER=local.";

/**
 * Creates the provider after checking its endpoint. The router is checked by requesting one token, because the models
 * it serves depend on the account and may not include the default model.
 *
 * @throws ProviderError if no message could be answered: rejected key, no credit, `model_not_supported`
 */
export async function startHuggingFaceProvider(
  options: HuggingFaceOptions,
  deps: RemoteDependencies,
): Promise<ChatProvider> {
  const { apiKey, baseUrl, model, contextTokens } = options;
  if (baseUrl !== undefined) {
    const base = endpointOf(baseUrl);
    const headers = accessHeaders(base, apiKey);
    const server = { names, modelsUrl: modelsUrlOf(base), headers, model, contextTokens };
    return createHuggingFaceProvider({ ...options, contextTokens: await checkServer(server, deps) }, deps);
  }
  if (apiKey?.startsWith("hf_") !== true) {
    const message = "HF_API_KEY is not a Hugging Face token. Hugging Face tokens begin with hf_.";
    throw new ProviderError(names.provider, "provider_auth", message);
  }
  const provider = createHuggingFaceProvider(options, deps);
  await probe(provider, CHOOSE_ANOTHER, deps);
  return provider;
}
