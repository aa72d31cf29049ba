import { describe, expect, it } from "vitest";
import { ChatSocket } from "../support/chat-socket.ts";
import { startService } from "../support/service.ts";

const words = (count: number) => Array.from({ length: count }, (_, index) => `word${index}`).join(" ");

describe("a stop", () => {
  it.each(["SIGTERM", "SIGINT"] as const)(
    "by %s lets running answers finish, closes with 1012, exits 0",
    async (signal) => {
      const service = await startService({ AI_PROVIDER: "echo", ECHO_TOKEN_MS: "20" });
      const idle = await ChatSocket.greeted(`${service.url}/ws/chat`);
      const plain = await ChatSocket.greeted(`${service.url}/ws/chat`);
      const busy = await ChatSocket.greeted(`${service.url}/ws/chat?stream=true`);
      const message = words(40);
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

  it("closes what is still running at the deadline, and exits 0", async () => {
    const service = await startService({ AI_PROVIDER: "echo", ECHO_TOKEN_MS: "200", DRAIN_SECONDS: "1" });
    const chat = await ChatSocket.greeted(`${service.url}/ws/chat?stream=true`);
    chat.send({ message: words(200) });
    await chat.next(({ type }) => type === "token");
    const started = Date.now();
    service.kill("SIGTERM");
    expect(await chat.closed).toMatchObject({ code: 1012 });
    expect(Date.now() - started).toBeLessThan(3000);
    expect(await service.exited).toEqual({ code: 0, signal: null });
  });

  it("ends at once at the second signal", async () => {
    const service = await startService({ AI_PROVIDER: "echo", ECHO_TOKEN_MS: "200", DRAIN_SECONDS: "60" });
    const chat = await ChatSocket.greeted(`${service.url}/ws/chat?stream=true`);
    chat.send({ message: words(200) });
    await chat.next(({ type }) => type === "token");
    service.kill("SIGTERM");
    await chat.next(({ event }) => event === "draining");
    service.kill("SIGTERM");
    expect(await service.exited).toMatchObject({ code: 1 });
  });
});
