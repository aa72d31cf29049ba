import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ChatProvider } from "../../src/providers/provider.ts";
import { answerOf, chatRequest, textOf } from "../support/chat-request.ts";
import { cutAfter, finishedBy, slowDrip, usageChunk, whole } from "../support/fault-scripts.ts";
import { startFaultServer, type FaultServer } from "../support/fault-server.ts";
import { remoteNames, remoteProvider } from "../support/remote-provider.ts";

const schema = {
  type: "object",
  properties: { mood: { enum: ["good", "bad"] } },
  required: ["mood"],
  additionalProperties: false,
};
const json = '{"mood":"good"}';
const request = chatRequest("How was it?", { jsonSchema: schema });

describe.each(remoteNames)("the %s provider, for an answer with a schema,", (name) => {
  let server: FaultServer;
  let provider: ChatProvider;

  beforeEach(async () => {
    server = await startFaultServer();
    provider = remoteProvider(name, server.baseUrl);
  });
  afterEach(async () => {
    await provider.close();
    await server.close();
  });
  const messages = (index: number) => server.requests.at(index)?.body.messages ?? [];

  it.each([
    ["prose", ["I would say", " good."], "holds no JSON"],
    ["another value", ['{"mood":"so so"}'], "/mood must be equal"],
    ["a missing field", ["{}"], "required property 'mood'"],
    ["a text", ['"good"'], "must be object"],
  ])("sends a second request that describes the fault after %s", async (_, wrong, fault) => {
    server.play(whole(wrong), whole(["Sorry. ", json]));
    expect(textOf(await answerOf(provider, request))).toBe(json);
    expect(server.requests).toHaveLength(2);
    // The server accepted response_format but the answer was invalid, so the second prompt contains the schema too.
    expect(server.requests[1]?.body).toHaveProperty("response_format");
    expect(messages(0)[0]?.content).not.toContain(JSON.stringify(schema));
    expect(messages(1)[0]?.content).toContain(JSON.stringify(schema));
    expect(messages(1).at(-2)).toEqual({ role: "assistant", content: wrong.join("") });
    expect(messages(1).at(-1)?.content).toContain(fault);
  });

  it("adds up the usage of both requests", async () => {
    server.play(whole(["no"]), whole([json]));
    const parts = await answerOf(provider, request);
    expect(parts.at(-1)).toMatchObject({
      type: "finish",
      usage: { promptTokens: 42, completionTokens: 26, cachedTokens: 16 },
    });
  });

  it("fails with bad_answer after the second request", async () => {
    server.play(whole(["I would say", " good."]));
    const answer = answerOf(provider, request);
    await expect(answer).rejects.toMatchObject({ code: "bad_answer", retryable: true, provider: name });
    expect(server.requests).toHaveLength(2);
  });

  it("sends no empty turn after an empty answer", async () => {
    server.play(whole([]), whole([json]));
    expect(textOf(await answerOf(provider, request))).toBe(json);
    expect(messages(1).map(({ role }) => role)).toEqual(["system", "user", "user"]);
  });

  it("sends no second request after a cut or the token limit", async () => {
    server.play(cutAfter(2, ['{"mood"', ":", '"good"}']));
    await expect(answerOf(provider, request)).rejects.toMatchObject({ code: "bad_answer" });
    expect(server.requests).toHaveLength(1);
    server.play(finishedBy("length", ['{"mood"']));
    const parts = await answerOf(provider, request);
    expect(parts.at(-1)).toMatchObject({ type: "finish", reason: "length" });
    expect(server.requests).toHaveLength(2);
  });

  it("finds JSON after reasoning that the server sends as text", async () => {
    server.play(whole(["<think>{maybe} {", '"mood":"bad"}', "</think>\n\n", json]));
    expect(textOf(await answerOf(provider, request))).toBe(json);
    expect(server.requests).toHaveLength(1);
  });

  it("starts again instead of continuing a partial JSON value", async () => {
    server.play(whole([json]));
    await answerOf(provider, { ...request, continueFrom: '{"mo' });
    expect(messages(0).map(({ role }) => role)).toEqual(["system", "user"]);
  });

  it("stops at a cancel during the second request", async () => {
    server.play(whole(["no"]), slowDrip(30, ["{", '"mood"', ...Array.from({ length: 50 }, () => " ")]));
    const controller = new AbortController();
    const answer = answerOf(provider, request, controller.signal);
    const second = await server.request(1);
    setTimeout(() => controller.abort(new Error("enough")), 40);
    await expect(answer).rejects.toThrow("enough");
    await second.over;
    expect(second.abandoned).toBe(true);
  });

  it("emits progress while there is no text to show", async () => {
    const blank = { send: usageChunk() };
    const wait = { waitMs: 2000 };
    server.play({ steps: [blank, wait, blank, wait, ...whole([json]).steps] });
    const types = (await answerOf(provider, request)).map(({ type }) => type);
    expect(types.filter((type) => type === "progress")).toHaveLength(2);
    expect(types.at(-1)).toBe("finish");
  });
});
