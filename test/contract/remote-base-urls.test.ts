import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { silentLogger } from "../../src/core/logger.ts";
import { startHuggingFaceProvider } from "../../src/providers/huggingface/huggingface-provider.ts";
import { startOpenAiProvider } from "../../src/providers/openai/openai-provider.ts";
import { answerOf, chatRequest, textOf } from "../support/chat-request.ts";
import { answerText, whole } from "../support/fault-scripts.ts";
import { startFaultServer, type FaultServer } from "../support/fault-server.ts";
import { remoteNames, secretKey, type RemoteName } from "../support/remote-provider.ts";

const starts = { openai: startOpenAiProvider, huggingface: startHuggingFaceProvider };

let server: FaultServer;
beforeEach(async () => {
  server = await startFaultServer();
  server.play(whole());
});
afterEach(() => server.close());

/** Sends one message to a base URL with this path and returns the paths of the requests. */
async function pathsOf(name: RemoteName, path: string): Promise<(string | undefined)[]> {
  const baseUrl = `${new URL(server.baseUrl).origin}${path}`;
  const options = { apiKey: secretKey, baseUrl, model: "the-model", contextTokens: 8192 };
  const provider = await starts[name](options, { clock: systemClock, logger: silentLogger });
  expect(textOf(await answerOf(provider, chatRequest("Hi")))).toBe(answerText);
  await provider.close();
  return [server.modelRequests[0]?.path, server.requests[0]?.path];
}

describe.each(remoteNames)("the base URL of %s", (name) => {
  it.each([
    ["/v1", "/v1/models", "/v1/chat/completions"],
    ["/v1/", "/v1/models", "/v1/chat/completions"],
    ["/v1/chat/completions", "/v1/models", "/v1/chat/completions"],
    ["/v1/chat/completions/", "/v1/models", "/v1/chat/completions"],
    ["/api/chat/completions", "/api/models", "/api/chat/completions"],
    ["/v1/#", "/v1/models", "/v1/chat/completions"],
    [
      "/v1?api-version=2024-10-21",
      "/v1/models?api-version=2024-10-21",
      "/v1/chat/completions?api-version=2024-10-21",
    ],
    ["/v1/?a=1&a=2", "/v1/models?a=1&a=2", "/v1/chat/completions?a=1&a=2"],
    [
      "/openai/deployments/gpt/chat/completions?api-version=1",
      "/openai/deployments/gpt/models?api-version=1",
      "/openai/deployments/gpt/chat/completions?api-version=1",
    ],
  ])("with the path %s leads to %s and %s", async (path, models, chat) => {
    expect(await pathsOf(name, path)).toEqual([models, chat]);
  });

  it("with the version of Azure's API sends the key in Azure's header as well, and without it does not", async () => {
    await pathsOf(name, "/v1?api-version=1");
    for (const { headers } of [server.modelRequests[0], server.requests[0]].map(
      (request) => request ?? { headers: {} },
    )) {
      expect(headers).toMatchObject({ "api-key": secretKey, authorization: `Bearer ${secretKey}` });
    }
    await pathsOf(name, "/v1");
    expect(server.requests[1]?.headers).not.toHaveProperty("api-key");
  });
});
