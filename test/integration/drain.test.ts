import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { ChatSocket } from "../support/chat-socket.ts";
import { startService } from "../support/service.ts";

const words = (count: number) => Array.from({ length: count }, (_, index) => `word${index}`).join(" ");

describe("stopping the service", () => {
  it.each(["SIGTERM", "SIGINT"] as const)(
    "by %s lets running answers finish, closes with 1012 and exits with 0",
    async (signal) => {
      const service = await startService({ AI_PROVIDER: "echo", ECHO_TOKEN_MS: "20" });
      const idle = await ChatSocket.greeted(`${service.url}/ws/chat`);
      const plain = await ChatSocket.greeted(`${service.url}/ws/chat`);
      const busy = await ChatSocket.greeted(`${service.url}/ws/chat?stream=true`);
      const message = words(100);
      const ends = [busy.ask(message, { id: "m" }), plain.ask(message)];
      await busy.next(({ type }) => type === "token");
      service.kill(signal);
      expect(await idle.closed).toMatchObject({ code: 1012 });
      busy.send({ message: "one more", id: "late" });
      expect(await busy.next(({ type }) => type === "error")).toMatchObject({
        code: "draining",
        id: "late",
        retryable: true,
      });
      for (const end of await Promise.all(ends))
        expect(end).toMatchObject({ type: "message", content: message });
      expect(busy.streamed((await ends[0])?.["answer"])).toBe(message);
      expect(await busy.closed).toMatchObject({ code: 1012 });
      expect(await plain.closed).toMatchObject({ code: 1012 });
      const original = new Set(["message", "command_response", "system", "error", "pong"]);
      expect(plain.frames.every(({ type }) => original.has(type))).toBe(true);
      expect(await service.exited).toEqual({ code: 0, signal: null });
    },
  );

  it("closes sockets with running answers at the deadline and exits with 0", async () => {
    const service = await startService({ AI_PROVIDER: "echo", ECHO_TOKEN_MS: "200", DRAIN_SECONDS: "1" });
    const chat = await ChatSocket.greeted(`${service.url}/ws/chat?stream=true`);
    chat.send({ message: words(200) });
    await chat.next(({ type }) => type === "token");
    const signalledAt = Date.now();
    service.kill("SIGTERM");
    expect(await chat.closed).toMatchObject({ code: 1012 });
    // The whole answer takes more than a minute.
    expect(Date.now() - signalledAt).toBeLessThan(20_000);
    expect(await service.exited).toEqual({ code: 0, signal: null });
  });

  it("exits at once with 1 on a second signal", async () => {
    const service = await startService({ AI_PROVIDER: "echo", ECHO_TOKEN_MS: "200", DRAIN_SECONDS: "60" });
    const chat = await ChatSocket.greeted(`${service.url}/ws/chat?stream=true`);
    chat.send({ message: words(200) });
    await chat.next(({ type }) => type === "token");
    service.kill("SIGTERM");
    await chat.next(({ type }) => type === "goaway");
    service.kill("SIGTERM");
    expect(await service.exited).toEqual({ code: 1, signal: null });
  });

  it("notifies each socket in its protocol before the close, and spreads the closes of idle sockets over the time", async () => {
    const service = await startService({ AI_PROVIDER: "echo", DRAIN_SECONDS: "3" });
    const open = (query: string, protocols: string[]) =>
      Promise.all(
        Array.from({ length: 200 }, () => ChatSocket.greeted(`${service.url}/ws/chat${query}`, protocols)),
      );
    const [streaming, plain] = [await open("", ["chat.v1"]), await open("", [])];
    service.kill("SIGTERM");
    const times: number[] = [];
    const closes = [...streaming, ...plain].map(async (chat) => {
      const { code } = await chat.closed;
      times.push(performance.now());
      return code;
    });
    await streaming[0]?.next(({ type }) => type === "goaway");
    // New sockets are refused because the port is closed.
    await expect(ChatSocket.open(`${service.url}/ws/chat`)).rejects.toThrow("ECONNREFUSED");
    expect(new Set(await Promise.all(closes))).toEqual(new Set([1012]));
    for (const { frames } of streaming) {
      expect(frames.slice(1)).toEqual([
        { type: "goaway", reason: "restart", deadline_ms: 3000, resumable: false },
      ]);
    }
    for (const { frames } of plain) {
      expect(frames.slice(1)).toMatchObject([{ type: "system", event: "draining" }]);
      expect(frames).toHaveLength(2);
    }
    // Relative to the first close, because a busy machine is late as a whole.
    const [first, last] = [Math.min(...times), Math.max(...times)];
    expect(last - first).toBeGreaterThan(1500);
    const thirds = [0, 1, 2].map(
      (third) =>
        times.filter((at) => Math.min(2, Math.floor((3 * (at - first)) / (last - first))) === third).length,
    );
    for (const closed of thirds) expect(closed).toBeGreaterThan(60);
    expect(await service.exited).toEqual({ code: 0, signal: null });
  });

  it("sends the text so far at the deadline, to streaming and plain sockets, and then closes with 1012", async () => {
    const service = await startService({ AI_PROVIDER: "echo", ECHO_TOKEN_MS: "100", DRAIN_SECONDS: "1" });
    const chats = [
      await ChatSocket.greeted(`${service.url}/ws/chat`),
      await ChatSocket.greeted(`${service.url}/ws/chat?stream=true`),
    ];
    for (const chat of chats) chat.send({ message: words(200), id: "m" });
    await chats[1]?.next(({ type }) => type === "token");
    service.kill("SIGTERM");
    for (const chat of chats) {
      const end = await chat.next(({ type }) => type === "message");
      expect(end).toMatchObject({ id: "m", finish_reason: "cancelled" });
      expect(words(200).startsWith(String(end["content"]))).toBe(true);
      expect(String(end["content"]).length).toBeGreaterThan(10);
      expect(await chat.closed).toMatchObject({ code: 1012 });
    }
    expect(await service.exited).toEqual({ code: 0, signal: null });
  });

  it("delivers the close frame to a slow reader after all unread frames (trap 1)", async () => {
    const service = await startService({
      AI_PROVIDER: "echo",
      MAX_OUTPUT_TOKENS: "1000000",
      ECHO_ANSWER_BYTES: "1000000",
      DRAIN_SECONDS: "1",
    });
    const chat = await ChatSocket.greeted(`${service.url}/ws/chat`);
    chat.pause();
    for (let index = 0; index < 12; index++) chat.send({ message: "Hi", id: `i${index}` });
    await pause(500);
    service.kill("SIGTERM");
    await pause(1500);
    chat.resume();
    expect(await chat.closed).toMatchObject({ code: 1012 });
    expect(await service.exited).toEqual({ code: 0, signal: null });
  });
});
