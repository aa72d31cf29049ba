import { describe, expect, it } from "vitest";
import { ProviderError } from "../../../src/providers/provider-error.ts";
import { sessionBench } from "../../support/session-bench.ts";
import type { ScriptedCall } from "../../support/scripted-provider.ts";
import { settle } from "../../support/virtual-clock.ts";

/** Frame types of the original service. */
const ORIGINAL = ["message", "command_response", "system", "error", "pong"];

describe("a new socket", () => {
  it("receives a welcome with the provider, the limits and a secret of its own", () => {
    const { connect } = sessionBench();
    const [first, second] = [connect(), connect()];
    const frame = first.socket.frames[0];
    expect(frame).toEqual({
      type: "system",
      event: "welcome",
      message: "Welcome.",
      session: expect.stringMatching(/^[\w-]{22}$/) as string,
      client: expect.stringMatching(/^[\w-]{16}$/) as string,
      provider: "local",
      model: "scripted",
      text_may_leave: false,
      limits: {
        max_frame_bytes: 65_536,
        max_message_chars: 32_000,
        max_output_tokens: 512,
        max_pending_messages: 3,
        max_active_answers: 2,
        max_conversations: 100,
      },
    });
    expect(second.secret).not.toBe(first.secret);
    expect(second.socket.frames[0]?.["client"]).not.toBe(frame?.["client"]);
  });

  it("of a subject has the subject as its client id", () => {
    const { connectAs } = sessionBench();
    expect(connectAs("ada").socket.frames[0]?.["client"]).toBe("ada");
  });
});

describe("a socket without the extension", () => {
  it("receives only frame types of the original service, whatever happens", async () => {
    const { connect, provider, clock, registry, log, chat } = sessionBench();
    const client = connect();
    const created = log.create.bind(log);
    const writers: ReturnType<typeof created>[] = [];
    log.create = (meta) => {
      const writer = created(meta);
      writers.push(writer);
      return writer;
    };
    await client.send({ message: "1" });
    await client.send({ message: "waits" });
    await client.send({ message: "/help" });
    provider.call.queued(3).progress(1, 2);
    await clock.pass(2000);
    writers[0]?.addEvent({
      type: "fallback",
      fromProvider: "local",
      toProvider: "openai",
      phase: "before_first_token",
      reason: "it crashed",
    });
    provider.call.start().say("a", "b").finish();
    await clock.pass(2000);
    chat.stopAccepting();
    registry.drain(10_000);
    await client.send({ type: "ping" });
    await client.send({ message: "late" });
    await client.send("{");
    provider.call.fail(new ProviderError("local", "engine_crashed", "It crashed."));
    await settle();
    const { types, frames } = client.socket;
    for (const type of types) expect(ORIGINAL).toContain(type);
    expect(types).toEqual([
      "system",
      "system",
      "message",
      "system",
      "pong",
      "error",
      "error",
      "error",
      "command_response",
    ]);
    expect(frames[1]).toMatchObject({
      event: "provider_changed",
      message: expect.stringContaining("openai") as string,
    });
    expect(frames[3]).toMatchObject({ event: "draining" });
    expect(frames.slice(5, 8).map(({ code }) => code)).toEqual(["draining", "bad_frame", "engine_crashed"]);
    expect(client.socket.ended).toEqual({ code: 1012, reason: "the server is shutting down" });
  });

  it("receives one frame for each message when turns are left out, and the notice with `stream: true`", async () => {
    const script = (call: ScriptedCall) => call.start(4).say("a").finish();
    const { connect } = sessionBench({ script });
    const client = connect();
    await client.send({ message: "1" });
    expect(client.take().map(({ type }) => type)).toEqual(["system", "message"]);
    await client.send({ message: "2", stream: true, id: "two" });
    const [notice, ...rest] = client.take();
    expect(notice).toEqual({
      type: "system",
      event: "history_cut",
      message:
        "This conversation is longer than the model can process, so its 4 oldest messages were left out.",
      id: "two",
      answer: expect.any(String) as string,
      turns: 4,
    });
    expect(rest.map(({ type }) => type)).toEqual(["token", "message"]);
    await client.send({ message: "/summarize", stream: true });
    expect(client.take().map(({ event }) => event)).not.toContain("history_cut");
  });

  it("receives tokens only for messages with `stream: true`", async () => {
    const { connect, provider } = sessionBench({ script: (call) => call.answer("a", "b") });
    const client = connect();
    await client.send({ message: "1", stream: true });
    expect(client.take().map(({ type }) => type)).toEqual(["system", "token", "message"]);
    await client.send({ message: "2" });
    expect(client.take().map(({ type }) => type)).toEqual(["message"]);
    expect(provider.calls).toHaveLength(2);
  });
});

describe("a socket with the extension", () => {
  it("receives tokens, except for messages with `stream: false`", async () => {
    const { connect } = sessionBench({ script: (call) => call.answer("a", "b") });
    const client = connect({ streaming: true });
    await client.send({ message: "1" });
    expect(client.take().map(({ type }) => type)).toEqual(["system", "token", "message"]);
    await client.send({ message: "2", stream: false });
    expect(client.take().map(({ type }) => type)).toEqual(["message"]);
    await client.send({ message: "/translate text=a target_language=b" });
    expect(client.take().map(({ type }) => type)).toEqual(["token", "command_response"]);
  });

  it("receives a `queued` frame at once for a message that waits behind another one", async () => {
    const { connect } = sessionBench();
    const client = connect({ streaming: true });
    await client.send({ message: "1" });
    client.take();
    await client.send({ message: "2", id: "two" });
    expect(client.take()).toMatchObject([{ type: "queued", id: "two", reason: "conversation", position: 1 }]);
  });
});

describe("the frames of an answer", () => {
  it("hold the id of the message and all fields of the protocol", async () => {
    const { connect, provider, clock } = sessionBench();
    const client = connect();
    await client.send({ message: "Hi", id: "mine", conversation: "work" });
    await clock.pass(100);
    provider.call.start();
    await clock.pass(50);
    provider.call.say("Hello").finish("length", { promptTokens: 3, completionTokens: 1, cachedTokens: 2 });
    await settle();
    expect(client.socket.frames[1]).toEqual({
      type: "message",
      content: "Hello",
      id: "mine",
      answer: expect.stringMatching(/^[\w-]{16}$/) as string,
      conversation: "work",
      finish_reason: "length",
      usage: {
        prompt_tokens: 3,
        completion_tokens: 1,
        cached_tokens: 2,
        context_tokens: 4,
        context_limit: 4096,
      },
      provider: "local",
      model: "scripted",
      timings: { queue_ms: 100, ttft_ms: 150, total_ms: 150 },
    });
    await client.send({ message: "empty" });
    provider.call.answer();
    await settle();
    expect(client.socket.frames[2]).toMatchObject({ content: "" });
    expect(client.socket.frames[2]?.["timings"]).not.toHaveProperty("ttft_ms");
  });

  it("hold the result of a command, and usage if a model was called", async () => {
    const { connect, provider } = sessionBench();
    const client = connect();
    await client.send({ message: "/getcontext", id: "g" });
    expect(client.socket.frames[1]).toEqual({
      type: "command_response",
      command: "getcontext",
      result: { status: "success", context: null },
      id: "g",
      answer: expect.any(String) as string,
      conversation: expect.stringMatching(/^own-/) as string,
    });
    await client.send({ message: "/translate text=a target_language=b" });
    provider.call.answer("c");
    await settle();
    expect(client.socket.frames[2]).toMatchObject({
      command: "translate",
      result: { status: "success", translation: "c", target_language: "b" },
      usage: { prompt_tokens: 7, completion_tokens: 1, cached_tokens: 0 },
      finish_reason: "stop",
    });
  });

  it("hold whether and when to retry after a failure", async () => {
    const { connect, provider, metrics } = sessionBench();
    const client = connect();
    await client.send({ message: "Hi", id: "mine" });
    provider.call.fail(new ProviderError("local", "overloaded", "Full.", { retryAfterMs: 700 }));
    await settle();
    expect(client.socket.frames[1]).toEqual({
      type: "error",
      message: "The AI service is busy right now. Try again in a few seconds.",
      code: "overloaded",
      retryable: true,
      retry_after_ms: 700,
      id: "mine",
      answer: expect.any(String) as string,
    });
    expect(metrics.errors).toEqual(["overloaded"]);
  });

  it("echo any id, whatever characters it contains", async () => {
    const { connect } = sessionBench({ script: (call) => call.answer('"\\\u0000') });
    const client = connect({ streaming: true });
    const id = '"},{"\\\u0000\u2028😀';
    await client.send({ message: "Hi", id });
    expect(client.socket.frames.slice(1).map((frame) => frame["id"])).toEqual([id, id]);
    expect(client.socket.frames[1]?.["content"]).toBe('"\\\u0000');
  });

  it("are sent once while the same message is repeated, and again after the end", async () => {
    const { connect, provider } = sessionBench();
    const client = connect({ streaming: true });
    const frame = { message: "Hi", id: "mine" };
    client.sendNow(frame);
    client.sendNow({ ...frame, stream: false });
    await client.send(frame);
    provider.call.answer("a");
    await settle();
    expect(client.take().map(({ type }) => type)).toEqual(["system", "token", "message"]);
    // After the end a repeated message sends the answer again: the client may have lost it.
    await client.send(frame);
    expect(client.take()).toMatchObject([{ type: "token", content: "a", from: 0 }, { type: "message" }]);
    await client.send({ ...frame, max_tokens: 5 });
    expect(client.take()).toMatchObject([
      { type: "error", code: "id_conflict", id: "mine", retryable: false },
    ]);
    expect(provider.calls).toHaveLength(1);
  });
});

describe("cancel", () => {
  it("stops a message that was sent just before it", async () => {
    const { connect, provider } = sessionBench();
    const client = connect();
    client.sendNow({ message: "Hi", id: "mine" });
    client.sendNow({ type: "cancel", id: "mine" });
    await settle();
    expect(client.socket.frames[1]).toMatchObject({
      type: "message",
      finish_reason: "cancelled",
      content: "",
    });
    expect(provider.calls.every(({ stopped }) => stopped)).toBe(true);
  });

  it("ends an answer, named by `answer` or by the message's `id`, with the text so far", async () => {
    const { connect, provider } = sessionBench();
    const client = connect({ streaming: true });
    await client.send({ message: "Hi", id: "mine", conversation: "work" });
    provider.call.start().say("so far");
    await settle();
    const answer = client.socket.framesOf("token")[0]?.["answer"];
    await client.send({ type: "cancel", id: "mine" });
    expect(client.socket.frames.at(-1)).toMatchObject({ type: "error", code: "unknown_answer", id: "mine" });
    await client.send({ type: "cancel", id: "mine", conversation: "work" });
    expect(client.socket.frames.at(-1)).toMatchObject({ finish_reason: "cancelled", content: "so far" });
    await client.send({ type: "cancel", answer });
    expect(client.socket.frames.at(-1)).toMatchObject({ type: "error", code: "unknown_answer" });
  });

  it("cannot stop the answer of another client", async () => {
    const { connect, provider } = sessionBench();
    const [client, stranger] = [connect({ streaming: true }), connect()];
    await client.send({ message: "Hi", id: "mine", conversation: "work" });
    provider.call.start().say("a");
    await settle();
    const answer = client.socket.framesOf("token")[0]?.["answer"];
    await stranger.send({ type: "cancel", answer });
    await stranger.send({ type: "cancel", id: "mine", conversation: "work" });
    expect(stranger.socket.framesOf("error").map(({ code }) => code)).toEqual([
      "unknown_answer",
      "unknown_answer",
    ]);
    expect(client.session.busy).toBe(true);
  });
});
