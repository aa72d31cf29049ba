import { chatCompletionStream, InferenceClientProviderApiError } from "@huggingface/inference";
import { ProviderError } from "../provider-error.ts";
import type { ChatProvider } from "../provider.ts";
import { parseBaseUrl } from "../remote/base-url.ts";
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

/** Sets the `Authorization` header, since the SDK supports bearer tokens only. */
function withAuthorization(fetch: Fetch, authorization: string): Fetch {
  return (input, init) => {
    const headers = new Headers(init?.headers);
    headers.set("Authorization", authorization);
    return fetch(input, { ...init, headers });
  };
}

/**
 * Creates the `huggingface` provider: the Hugging Face router, or an own endpoint with the same chat completions API.
 */
export function createHuggingFaceProvider(
  options: HuggingFaceOptions,
  deps: RemoteDependencies,
): ChatProvider {
  const base = options.baseUrl === undefined ? undefined : parseBaseUrl(options.baseUrl);
  const { apiKey, model, contextTokens } = options;
  const basic = apiKey ? undefined : base?.authorization;
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
              fetch: basic === undefined ? fetch : withAuthorization(fetch, basic),
              // By default the SDK retries on 503 without a delay or a limit.
              retry_on_error: false,
            },
          ),
        ),
      // The error contains the request with the user's text. Only the body of the response is used.
      inBandError: (error) =>
        error instanceof InferenceClientProviderApiError ? error.httpResponse.body : undefined,
    },
    deps,
  );
}

const CHOOSE_ANOTHER =
  "Set HF_MODEL to a model from https://huggingface.co/models?inference_provider=all, set HF_BASE_URL to your own " +
  "endpoint, or run a model on this machine with AI_PROVIDER=local.";

/** URL of the model list. The base URL of an own endpoint may include the path of the chat. */
function modelsUrlOf(url: string): string {
  const root = url.replace(/\/chat\/completions$/, "");
  return `${root.endsWith("/v1") ? root : `${root}/v1`}/models`;
}

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
    const { url, authorization: basic } = parseBaseUrl(baseUrl);
    const authorization = apiKey ? `Bearer ${apiKey}` : basic;
    const server = { names, modelsUrl: modelsUrlOf(url), authorization, model, contextTokens };
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
