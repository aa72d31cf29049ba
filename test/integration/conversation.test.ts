import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ChatSocket } from "../support/chat-socket.ts";
import { startService, type Service } from "../support/service.ts";
import { tinyModel } from "../support/tiny-gguf.ts";

const JWT_SECRET = "a secret of the tests that is long enough";

describe("the service on its local model", () => {
  let service: Service;

  beforeAll(async () => {
    service = await startService({
      MODEL_PATH: await tinyModel(),
      LOCAL_SLOTS: "4",
      MAX_OUTPUT_TOKENS: "48",
      JWT_SECRET,
    });
  });

  afterAll(() => service.stop());

  it("sends a client of the original protocol only a welcome and one message", async () => {
    const chat = await ChatSocket.greeted(`${service.url}/ws/chat`);
    const end = await chat.ask("What is the capital of France?");
    expect(end.type).toBe("message");
    expect(chat.frames.map(({ type }) => type)).toEqual(["system", "message"]);
    expect(chat.welcome).toMatchObject({
      event: "welcome",
      provider: "local",
      text_may_leave: false,
      session: expect.stringMatching(/^[\w-]{22}$/) as unknown,
    });
    await chat.close();
  });

  it.each([
    ["?stream=true", [] as string[]],
    ["", ["chat.v1"]],
  ])("streams tokens that together equal the message (%s %s)", async (query, protocols) => {
    const chat = await ChatSocket.greeted(`${service.url}/ws/chat${query}`, protocols);
    expect(chat.protocol).toBe(protocols[0] ?? "");
    const end = await chat.ask("Tell me a story");
    expect(end).toMatchObject({ type: "message", provider: "local" });
    expect(["stop", "length"]).toContain(end["finish_reason"]);
    expect(chat.frames.filter(({ type }) => type === "token").length).toBeGreaterThan(1);
    expect(chat.streamed(end["answer"])).toBe(end["content"]);
    await chat.close();
  });

  it("lets a message override the streaming mode of its socket, both ways", async () => {
    const plain = await ChatSocket.greeted(`${service.url}/ws/chat`);
    const streamed = await plain.ask("one", { stream: true });
    expect(plain.streamed(streamed["answer"])).toBe(streamed["content"]);
    await plain.close();
    const streaming = await ChatSocket.greeted(`${service.url}/ws/chat`, ["chat.v1"]);
    await streaming.ask("two", { stream: false });
    expect(streaming.frames.map(({ type }) => type)).toEqual(["system", "message"]);
    await streaming.close();
  });

  it("reuses the conversation's KV for the next turn and reports the cached tokens", async () => {
    const chat = await ChatSocket.greeted(`${service.url}/ws/chat`);
    await chat.ask("first", { max_tokens: 8 });
    const second = await chat.ask("second", { max_tokens: 8 });
    const usage = second["usage"] as Record<string, number>;
    expect(usage["cached_tokens"]).toBeGreaterThan(0);
    expect(usage["cached_tokens"]).toBeLessThan(usage["prompt_tokens"] as number);
    await chat.close();
  });

  it("begins no answer with the blank of the tokenizer; tokens, message and history are the same text", async () => {
    const chat = await ChatSocket.greeted(`${service.url}/ws/chat`, ["chat.v1"]);
    let blanks = 0;
    for (let seed = 1; seed <= 12; seed++) {
      const end = await chat.ask("Hi", { seed, temperature: 1, max_tokens: 6, conversation: `s${seed}` });
      if (String(end["content"]).startsWith(" ")) blanks++;
      expect(chat.streamed(end["answer"])).toBe(end["content"]);
      const before = chat.frames.length;
      chat.send({ type: "history", conversation: `s${seed}` });
      const history = await chat.next((frame) => frame.type === "history", before);
      expect(history["turns"]).toMatchObject([{ content: "Hi" }, { content: end["content"] }]);
    }
    // About half of the answers did. A few of a random model may begin with a second blank, which stays.
    expect(blanks).toBeLessThanOrEqual(2);
    await chat.close();
  });

  it("gives the same answer for the same seed", async () => {
    const chat = await ChatSocket.greeted(`${service.url}/ws/chat`);
    const ask = (conversation: string) => chat.ask("dice", { seed: 7, temperature: 1, conversation });
    const [one, two] = [await ask("a"), await ask("b")];
    expect(one["content"]).toBe(two["content"]);
    await chat.close();
  });

  it("cancels an answer and keeps its text so far", async () => {
    const chat = await ChatSocket.greeted(`${service.url}/ws/chat`, ["chat.v1"]);
    chat.send({ message: "long", id: "m1", max_tokens: 48 });
    await chat.next(({ type }) => type === "token");
    chat.send({ type: "cancel", id: "m1" });
    const end = await chat.next(({ type }) => type === "message" || type === "error");
    expect(end).toMatchObject({ type: "message", id: "m1" });
    expect(["cancelled", "stop", "length"]).toContain(end["finish_reason"]);
    expect(chat.streamed(end["answer"])).toBe(end["content"]);
    chat.send({ type: "cancel", id: "m1" });
    expect(await chat.next(({ type }) => type === "error")).toMatchObject({ code: "unknown_answer" });
    await chat.close();
  });

  it("answers one message from each of 200 sockets at once, without losing or mixing up an answer", async () => {
    const sockets = await Promise.all(
      Array.from({ length: 200 }, () => ChatSocket.greeted(`${service.url}/ws/chat?stream=true`)),
    );
    const ends = await Promise.all(
      sockets.map((socket, index) =>
        socket.ask(`I am number ${index}`, { id: `message-${index}`, max_tokens: 16 }),
      ),
    );
    ends.forEach((end, index) => {
      expect(end).toMatchObject({ type: "message", id: `message-${index}` });
      const socket = sockets[index] as ChatSocket;
      expect(socket.streamed(end["answer"])).toBe(end["content"]);
      const foreign = socket.frames.filter(
        (frame) => frame["id"] !== undefined && frame["id"] !== `message-${index}`,
      );
      expect(foreign).toEqual([]);
    });
    expect(new Set(ends.map((end) => end["answer"])).size).toBe(200);
    expect(sockets.some((socket) => socket.frames.some(({ type }) => type === "queued"))).toBe(true);
    await Promise.all(sockets.map((socket) => socket.close()));
  });

  it("refuses a prompt that cannot fit, and names the limit in tokens", async () => {
    const chat = await ChatSocket.greeted(`${service.url}/ws/chat`);
    const end = await chat.ask("word ".repeat(4000));
    expect(end).toMatchObject({ type: "error", code: "prompt_too_long", retryable: false });
    expect(end["message"]).toMatch(/room for \d+/);
    const next = await chat.ask("short");
    expect(next.type).toBe("message");
    await chat.close();
  });
});

describe("a conversation that is longer than the window", () => {
  it("reports the turns that were left out, and how full the window is", async () => {
    const service = await startService({
      MODEL_PATH: await tinyModel(),
      LOCAL_SLOTS: "1",
      LOCAL_CONTEXT_SIZE: "256",
      MAX_OUTPUT_TOKENS: "32",
    });
    const chat = await ChatSocket.greeted(`${service.url}/ws/chat`, ["chat.v1"]);
    const plain = await ChatSocket.greeted(`${service.url}/ws/chat`);
    let cuts: number[] = [];
    for (let turn = 0; turn < 12; turn++) {
      const end = await chat.ask(`message ${turn} about time and people`, { id: `m${turn}` });
      expect(end).toMatchObject({ type: "message", usage: { context_limit: 256 } });
      const { prompt_tokens, completion_tokens, context_tokens } = end["usage"] as Record<string, number>;
      expect(context_tokens).toBe((prompt_tokens ?? 0) + (completion_tokens ?? 0));
      const own = chat.frames.filter(({ id }) => id === `m${turn}`);
      const notices = own.filter(({ event }) => event === "history_cut");
      expect(notices.length).toBeLessThanOrEqual(1);
      if (notices.length > 0)
        expect(own.findIndex(({ type }) => type === "token")).toBeGreaterThan(own.indexOf(notices[0]!));
      cuts = [...cuts, ...notices.map(({ turns }) => Number(turns))];
      expect((await plain.ask(`message ${turn} about time and people`)).type).toBe("message");
    }
    expect(cuts.length).toBeGreaterThan(0);
    expect(cuts).toEqual(cuts.toSorted((left, right) => left - right));
    expect(plain.frames.map(({ type }) => type)).toEqual([
      "system",
      ...Array.from({ length: 12 }, () => "message"),
    ]);
    await service.stop();
  });
});
