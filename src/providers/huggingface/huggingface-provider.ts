import { chatCompletionStream, InferenceClientProviderApiError } from "@huggingface/inference";
import { ProviderError } from "../provider-error.ts";
import type { ChatProvider } from "../provider.ts";
import { parseBaseUrl } from "../remote/base-url.ts";
import type { RemoteNames } from "../remote/fault-table.ts";
import type { Fetch } from "../remote/guarded-fetch.ts";
import { createRemoteProvider, type RemoteDependencies } from "../remote/remote-provider.ts";
import { checkServer, probe } from "../remote/start-check.ts";

export interface HuggingFaceOptions {
  /** Not needed by many servers behind `baseUrl`. */
  readonly apiKey: string | undefined;
  /** An own inference endpoint; absent: the router of Hugging Face. May hold a credential. */
  readonly baseUrl: string | undefined;
  readonly model: string;
  /** The model's window in tokens. */
  readonly contextTokens: number;
}

const names: RemoteNames = {
  provider: "huggingface",
  keySetting: "HF_API_KEY",
  modelSetting: "HF_MODEL",
  baseUrlSetting: "HF_BASE_URL",
  windowSetting: "HF_CONTEXT_TOKENS",
};

/** The SDK knows bearer tokens only. */
function withAuthorization(fetch: Fetch, authorization: string): Fetch {
  return (input, init) => {
    const headers = new Headers(init?.headers);
    headers.set("Authorization", authorization);
    return fetch(input, { ...init, headers });
  };
}

/** `huggingface`: the router of Hugging Face, or an own endpoint that speaks the same chat completions. */
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
              // Otherwise it calls itself again on 503, without delay or bound.
              retry_on_error: false,
            },
          ),
        ),
      // The error holds the request with the user's text: only the server's own body is taken out of it.
      inBandError: (error) =>
        error instanceof InferenceClientProviderApiError ? error.httpResponse.body : undefined,
    },
    deps,
  );
}

const CHOOSE_ANOTHER =
  "Choose a model from https://huggingface.co/models?inference_provider=all for HF_MODEL, name an own endpoint in " +
  "HF_BASE_URL, or run the model here with AI_PROVIDER=local.";

/** An own endpoint is named with or without the path of the chat. */
function modelsUrlOf(url: string): string {
  const root = url.replace(/\/chat\/completions$/, "");
  return `${root.endsWith("/v1") ? root : `${root}/v1`}/models`;
}

/**
 * The provider, after a look at its endpoint. The router is asked for one token instead: which models it has depends on
 * the account, and the default model may not be among them.
 *
 * @throws ProviderError when no message could be answered: key refused, no credit, `model_not_supported`
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
    const message = "HF_API_KEY is not a token of Hugging Face: those begin with hf_.";
    throw new ProviderError(names.provider, "provider_auth", message);
  }
  const provider = createHuggingFaceProvider(options, deps);
  await probe(provider, CHOOSE_ANOTHER, deps);
  return provider;
}
