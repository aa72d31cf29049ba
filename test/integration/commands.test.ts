import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { createTokenSigner } from "../../src/auth/token-signer.ts";
import { ChatSocket } from "../support/chat-socket.ts";
import { startService, type Service } from "../support/service.ts";
import { tinyModel } from "../support/tiny-gguf.ts";

const JWT_SECRET = "a secret of the tests that is long enough";

const tokenOf = createTokenSigner({ secret: JWT_SECRET, clock: systemClock });

describe.each(["anonymous", "authenticated"] as const)("commands of an %s client", (kind) => {
  let service: Service;
  let clients = 0;

  const connect = (sub = `user-${clients++}`) => {
    if (kind === "anonymous") return ChatSocket.greeted(`${service.url}/ws/chat`);
    const token = tokenOf(sub, 600);
    return ChatSocket.greeted(`${service.url}/ws/chat/auth?token=${token}`);
  };

  beforeAll(async () => {
    service = await startService({ MODEL_PATH: await tinyModel(), MAX_OUTPUT_TOKENS: "24", JWT_SECRET });
  });

  afterAll(() => service.stop());

  it("/help lists all eight commands", async () => {
    const chat = await connect();
    const { status, commands } = await chat.command("/help");
    expect(status).toBe("success");
    expect((commands as { name: string }[]).map(({ name }) => name).toSorted()).toEqual([
      "/analyze",
      "/clear",
      "/clearcontext",
      "/getcontext",
      "/help",
      "/setcontext",
      "/summarize",
      "/translate",
    ]);
    await chat.close();
  });

  it("/summarize refuses an empty history with a hint, and summarizes one with messages", async () => {
    const chat = await connect();
    expect(await chat.command("/summarize")).toEqual({
      status: "error",
      message: "There is nothing to summarize yet. Send a message first.",
    });
    await chat.ask("Hello");
    expect(await chat.command("/summarize")).toEqual({
      status: "success",
      summary: expect.any(String) as unknown,
    });
    await chat.close();
  });

  it("/clear deletes the history and keeps the context", async () => {
    const chat = await connect();
    await chat.ask("Hello");
    await chat.command('/setcontext text="kept"');
    expect(await chat.command("/clear")).toMatchObject({
      status: "success",
      message: expect.any(String) as unknown,
    });
    expect(await chat.command("/summarize")).toMatchObject({ status: "error" });
    expect(await chat.command("/getcontext")).toEqual({ status: "success", context: "kept" });
    await chat.close();
  });

  it("/analyze returns valid JSON of the documented shape every time", async () => {
    const chat = await connect();
    for (const text of ["I love it", 'He said “no” and left; {"a": [1]}', "日本語のテキスト 👍"]) {
      const result = await chat.command(`/analyze text='${text}'`);
      expect(result["status"]).toBe("success");
      expect(["positive", "negative", "neutral", "mixed"]).toContain(result["sentiment"]);
      expect(result["confidence"]).toBeGreaterThanOrEqual(0);
      expect(result["confidence"]).toBeLessThanOrEqual(1);
      const points = result["key_points"] as string[];
      expect(points.length).toBeGreaterThanOrEqual(1);
      expect(points.length).toBeLessThanOrEqual(7);
      expect(points.every((point) => typeof point === "string")).toBe(true);
    }
    await chat.close();
  });

  it("/translate returns a translation and the target language", async () => {
    const chat = await connect();
    expect(await chat.command('/translate text="Good morning" target_language="Spanish"')).toEqual({
      status: "success",
      translation: expect.any(String) as unknown,
      target_language: "Spanish",
    });
    await chat.close();
  });

  it("/setcontext, /getcontext and /clearcontext handle quotes and line breaks in the text", async () => {
    const chat = await connect();
    expect(await chat.command("/getcontext")).toEqual({ status: "success", context: null });
    const text = "She said “hi” and 'bye';\n/help is text=\"here\" 🙂";
    const quoted = text.replace(/["\\]/g, "\\$&");
    const set = await chat.command(`/setcontext text="${quoted}"`);
    expect(set).toEqual({ status: "success", context: text, tokens: expect.any(Number) as unknown });
    expect(set["tokens"]).toBeGreaterThan(5);
    expect(await chat.command("/getcontext")).toEqual({ status: "success", context: text });
    expect(await chat.command("/clearcontext")).toMatchObject({
      status: "success",
      message: expect.any(String) as unknown,
    });
    expect(await chat.command("/getcontext")).toEqual({ status: "success", context: null });
    await chat.close();
  });

  it("/setcontext refuses a text that is too long for the model, and names the limit", async () => {
    const chat = await connect();
    const result = await chat.command(`/setcontext text="${"word ".repeat(4000)}"`);
    expect(result).toMatchObject({
      status: "error",
      message: expect.stringMatching(/room for \d+/) as unknown,
    });
    await chat.close();
  });

  it("the context is part of the prompt of every answer", async () => {
    const chat = await connect();
    const promptOf = async () =>
      ((await chat.ask("hi", { max_tokens: 2 }))["usage"] as { prompt_tokens: number }).prompt_tokens;
    await chat.command("/clear");
    const without = await promptOf();
    await chat.command("/clear");
    await chat.command(`/setcontext text="${"the same words again and again ".repeat(10)}"`);
    expect(await promptOf()).toBeGreaterThan(without + 30);
    await chat.close();
  });

  it("a wrong command call is answered with what was expected", async () => {
    const chat = await connect();
    expect(await chat.command("/translate text=hi")).toMatchObject({
      status: "error",
      message: expect.stringContaining("target_language") as unknown,
    });
    expect(await chat.command('/analyze text="a" tone="b"')).toMatchObject({
      status: "error",
      message: expect.stringMatching(/tone.*Usage: \/analyze/) as unknown,
    });
    expect(await chat.command('/analyze text="open')).toMatchObject({ status: "error" });
    expect(await chat.ask("/summarise")).toMatchObject({
      type: "error",
      code: "unknown_command",
      message: expect.stringContaining("/summarize") as unknown,
    });
    const slash = await chat.ask("//help is chat", { max_tokens: 2 });
    expect(slash.type).toBe("message");
    await chat.close();
  });

  it("the context of a client is not visible to another client, and is kept across a resume", async () => {
    const one = await connect("alice");
    const two = await connect("bob");
    await one.command('/setcontext text="Alice only"');
    await one.ask("Remember me");
    expect(await two.command("/getcontext")).toEqual({ status: "success", context: null });
    const { session, client } = one.welcome;
    one.cut();
    const resumed = await connect("alice");
    resumed.send({ type: "resume", session });
    expect(await resumed.next(({ type, event }) => type === "error" || event === "resumed")).toMatchObject({
      event: "resumed",
      session,
      client,
    });
    expect(await resumed.command("/getcontext")).toEqual({ status: "success", context: "Alice only" });
    expect(await resumed.command("/summarize")).toMatchObject({ status: "success" });
    await Promise.all([two.close(), resumed.close()]);
  });

  it("a resume of another client's or an unknown session and a late resume are refused, and the socket stays open", async () => {
    const one = await connect("carol");
    const { session } = one.welcome;
    const two = await connect("dave");
    two.send({ type: "resume", session: "unknown-session-secret" });
    expect(await two.next(({ type }) => type === "error")).toMatchObject({ code: "resume_expired" });
    two.send({ type: "resume", session });
    expect(await two.next(({ code }) => code === "resume_late")).toMatchObject({ type: "error" });
    if (kind === "authenticated") {
      const three = await connect("erin");
      three.send({ type: "resume", session });
      expect(await three.next(({ type }) => type === "error")).toMatchObject({ code: "resume_expired" });
      await three.close();
    }
    expect(await two.command("/help")).toMatchObject({ status: "success" });
    await Promise.all([one.close(), two.close()]);
  });
});
