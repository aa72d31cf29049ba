import { systemClock } from "../../src/core/clock.ts";
import { silentLogger } from "../../src/core/logger.ts";
import { createHuggingFaceProvider } from "../../src/providers/huggingface/huggingface-provider.ts";
import { createOpenAiProvider } from "../../src/providers/openai/openai-provider.ts";
import type { ChatProvider } from "../../src/providers/provider.ts";
import type { RemoteDependencies } from "../../src/providers/remote/remote-provider.ts";

/** An API key that must only appear in the header of requests. */
export const secretKey = "hf_sk-Do-Not-Show-0123456789abcdef";

export type RemoteName = "openai" | "huggingface";
export const remoteNames: readonly RemoteName[] = ["openai", "huggingface"];

export interface RemoteChanges {
  readonly apiKey?: string | undefined;
  readonly contextTokens?: number;
  readonly model?: string;
  readonly deps?: Partial<RemoteDependencies>;
}

/** Creates a remote provider that uses a server controlled by the test. */
export function remoteProvider(
  name: RemoteName,
  baseUrl: string | undefined,
  changes: RemoteChanges = {},
): ChatProvider {
  const { contextTokens = 8192, model = "model-under-test", deps } = changes;
  const apiKey = "apiKey" in changes ? changes.apiKey : secretKey;
  const options = { apiKey, baseUrl, model, contextTokens };
  const create = name === "openai" ? createOpenAiProvider : createHuggingFaceProvider;
  return create(options, { clock: systemClock, logger: silentLogger, ...deps });
}
