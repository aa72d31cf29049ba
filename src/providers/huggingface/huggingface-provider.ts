import { chatCompletionStream, InferenceClientProviderApiError } from "@huggingface/inference";
import type { ChatProvider } from "../provider.ts";
import { parseBaseUrl } from "../remote/base-url.ts";
import type { RemoteNames } from "../remote/fault-table.ts";
import type { Fetch } from "../remote/guarded-fetch.ts";
import { createRemoteProvider, type RemoteDependencies } from "../remote/remote-provider.ts";

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
