import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTokenSigner } from "../../src/auth/token-signer.ts";
import { systemClock } from "../../src/core/clock.ts";
import { ChatSocket } from "../support/chat-socket.ts";
import { startService, type Service } from "../support/service.ts";

const JWT_SECRET = "a secret of the tests that is long enough";
const tokenOf = createTokenSigner({ secret: JWT_SECRET, clock: systemClock });

describe("ids and order of messages", () => {
  let service: Service;

  beforeAll(async () => {
    service = await startService({
      AI_PROVIDER: "echo",
      ECHO_TOKEN_MS: "20",
      JWT_SECRET,
      MAX_PENDING_MESSAGES: "3",
      MAX_ACTIVE_ANSWERS_PER_CLIENT: "2",
    });
  });

  afterAll(() => service.stop());

  const connect = (sub: string) =>
    ChatSocket.greeted(`${service.url}/ws/chat/auth?token=${tokenOf(sub, 600)}&stream=true`);
  const counted = async (name: RegExp) =>
    Number(name.exec(await (await service.http("/metrics")).text())?.[1] ?? 0);
  const generations = () => counted(/^chat_answer_seconds_count\{provider="echo",outcome="stop"\} (\d+)/m);

  it("the same frame sent 100 times at once from 3 sockets of one subject is generated once", async () => {
    const before = await generations();
    const sockets = await Promise.all([connect("ida"), connect("ida"), connect("ida")]);
    const frame = { message: "one and the same, word by word", id: "once", conversation: "shared" };
    for (let index = 0; index < 100; index++) (sockets[index % 3] as ChatSocket).send(frame);
    const ends = await Promise.all(sockets.map((socket) => socket.next(({ type }) => type === "message")));
    expect(new Set(ends.map(({ answer }) => answer)).size).toBe(1);
    for (const [index, socket] of sockets.entries()) {
      expect(socket.streamed(ends[index]?.["answer"])).toBe(frame.message);
      expect(socket.frames.filter(({ type }) => type === "error")).toEqual([]);
    }
    expect((await generations()) - before).toBe(1);

    // Afterwards the same frame gets the finished answer, and another frame with its id is refused.
    const late = await connect("ida");
    expect(await late.ask(frame.message, { id: "once", conversation: "shared" })).toMatchObject({
      type: "message",
      answer: ends[0]?.["answer"],
      content: frame.message,
    });
    expect(await late.ask("something else", { id: "once", conversation: "shared" })).toMatchObject({
      type: "error",
      code: "id_conflict",
      id: "once",
    });
    expect((await generations()) - before).toBe(1);

    // The same id of another client is a different message.
    const other = await connect("otto");
    expect(await other.ask("mine", { id: "once", conversation: "shared" })).toMatchObject({
      type: "message",
      content: "mine",
    });
    await Promise.all([...sockets, late, other].map((socket) => socket.close()));
  });

  it("the id of a cancelled message can be reused", async () => {
    const chat = await connect("cleo");
    chat.send({ message: "a b c d e f g h ".repeat(50), id: "again" });
    await chat.next(({ type }) => type === "token");
    chat.send({ type: "cancel", id: "again" });
    expect(await chat.next(({ type }) => type === "message")).toMatchObject({ finish_reason: "cancelled" });
    expect(await chat.ask("another text", { id: "again" })).toMatchObject({
      type: "message",
      content: "another text",
    });
    await chat.close();
  });

  it("messages of a conversation are answered one at a time in order, and waiting ones receive their position", async () => {
    const chat = await connect("olga");
    // The first answer takes a second, so that all messages have arrived before it ends.
    for (const id of ["first one", "second one", "third one"])
      chat.send({ message: id === "first one" ? "first one ".repeat(20) : id, id });
    await chat.next(({ type, id }) => type === "message" && id === "third one");
    const ends = chat.frames.filter(({ type }) => type === "message").map(({ id }) => id);
    expect(ends).toEqual(["first one", "second one", "third one"]);
    const places = chat.frames.filter(({ type, id }) => type === "queued" && id === "third one");
    expect(places[0]).toMatchObject({ reason: "conversation", position: 2 });
    const firstEnd = chat.frames.findIndex(({ type }) => type === "message");
    expect(chat.frames.findIndex(({ type, id }) => type === "token" && id === "second one")).toBeGreaterThan(
      firstEnd,
    );
    await chat.close();
  });

  it("messages over a limit are refused with busy, and no other message is lost", async () => {
    const chat = await connect("bea");
    for (let index = 0; index < 5; index++)
      chat.send({ message: `number ${index} `.repeat(20), id: `${index}`, conversation: "a" });
    expect(await chat.next(({ type }) => type === "error")).toMatchObject({
      code: "busy",
      id: "4",
      retryable: true,
    });
    chat.send({ message: "elsewhere ".repeat(20), conversation: "b", id: "b" });
    chat.send({ message: "one too many", conversation: "c", id: "c" });
    expect(await chat.next(({ type, id }) => type === "error" && id === "c")).toMatchObject({ code: "busy" });
    for (const id of ["0", "1", "2", "3", "b"])
      await chat.next((frame) => frame.type === "message" && frame["id"] === id);
    expect(await chat.ask("room again", { conversation: "c", id: "c" })).toMatchObject({ type: "message" });
    await chat.close();
  });

  it("an answer without a connected reader is abandoned, and its text is kept", async () => {
    const quick = await startService({
      AI_PROVIDER: "echo",
      ECHO_TOKEN_MS: "100",
      ABANDON_SECONDS: "1",
      JWT_SECRET,
    });
    const url = `${quick.url}/ws/chat/auth?token=${tokenOf("abe", 600)}&stream=true`;
    const chat = await ChatSocket.greeted(url);
    const message = Array.from({ length: 60 }, (_, index) => `word${index}`).join(" ");
    chat.send({ message, id: "left", conversation: "c" });
    await chat.next(({ type }) => type === "token");
    chat.cut();
    const metrics = async () => (await quick.http("/metrics")).text();
    await expect.poll(metrics).toMatch(/^chat_answers_running 0$/m);
    expect(await metrics()).toMatch(/^chat_answer_seconds_count\{provider="echo",outcome="abandoned"\} 1$/m);
    const reconnected = await ChatSocket.greeted(url);
    expect(await reconnected.ask("/summarize", { conversation: "c" })).toMatchObject({
      result: { status: "success" },
    });
    await reconnected.close();
    await quick.stop();
  });

  it("a client that reconnects in time after a cut gets its running answer from the start", async () => {
    const chat = await connect("rita");
    const message = Array.from({ length: 120 }, (_, index) => `w${index}`).join(" ");
    const frame = { message, id: "resumed", conversation: "r" };
    chat.send(frame);
    await chat.next(({ type }) => type === "token");
    chat.cut();
    const reconnected = await connect("rita");
    const end = await reconnected.ask(message, { id: "resumed", conversation: "r" });
    expect(end).toMatchObject({ type: "message", content: message });
    expect(reconnected.streamed(end["answer"])).toBe(message);
    await reconnected.close();
  });
});
