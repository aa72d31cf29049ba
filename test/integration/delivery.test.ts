import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ChatSocket } from "../support/chat-socket.ts";
import { startService, until, type Service } from "../support/service.ts";

const ANSWER_BYTES = 4_000_000;

describe("delivery over real sockets", () => {
  let service: Service;

  beforeAll(async () => {
    service = await startService({
      AI_PROVIDER: "echo",
      ECHO_ANSWER_BYTES: String(ANSWER_BYTES),
      MAX_ANSWER_BYTES: "8388608",
      MAX_OUTPUT_TOKENS: "1048576",
      DRAIN_SECONDS: "5",
    });
  });

  afterAll(() => service.stop());

  it("a stalled reader gets every byte once it reads again, and does not slow down other sockets", async () => {
    const slow = await ChatSocket.greeted(`${service.url}/ws/chat?stream=true`);
    slow.pause();
    slow.send({ message: "a lot", id: "slow" });
    await new Promise((resolve) => setTimeout(resolve, 300));
    const quick = await ChatSocket.greeted(`${service.url}/ws/chat`);
    expect(await quick.command("/help")).toMatchObject({ status: "success" });
    await quick.close();
    expect(slow.frames.some(({ id }) => id === "slow")).toBe(false);
    slow.resume();
    const end = await slow.next(({ type }) => type === "message");
    expect((end["content"] as string).length).toBe(ANSWER_BYTES);
    expect(slow.streamed(end["answer"])).toBe(end["content"]);
    await slow.close();
  });

  it("other frames for a stalled reader are kept and arrive in order", async () => {
    const slow = await ChatSocket.greeted(`${service.url}/ws/chat?stream=true`);
    slow.pause();
    slow.send({ message: "a lot", id: "slow" });
    for (let index = 0; index < 5; index++) slow.send({ message: "x", nonsense: index, id: `bad${index}` });
    await new Promise((resolve) => setTimeout(resolve, 300));
    slow.resume();
    await slow.next(({ type }) => type === "message");
    const errors = slow.frames.filter(({ type }) => type === "error").map(({ id }) => id);
    expect(errors).toEqual(["bad0", "bad1", "bad2", "bad3", "bad4"]);
    await slow.close();
  });
});

describe("the close frame of a stalled reader", () => {
  it("arrives after all buffered frames when the service stops", async () => {
    const service = await startService({
      AI_PROVIDER: "echo",
      ECHO_ANSWER_BYTES: String(ANSWER_BYTES),
      MAX_ANSWER_BYTES: "8388608",
      MAX_OUTPUT_TOKENS: "1048576",
      DRAIN_SECONDS: "10",
    });
    const slow = await ChatSocket.greeted(`${service.url}/ws/chat?stream=true`);
    slow.pause();
    slow.send({ message: "a lot", id: "slow" });
    await until(async () =>
      /^chat_frames_received_total\{type="message"\} 1$/m.test(await (await service.http("/metrics")).text()),
    );
    service.kill("SIGTERM");
    await new Promise((resolve) => setTimeout(resolve, 200));
    slow.resume();
    expect(await slow.closed).toMatchObject({ code: 1012 });
    const end = slow.frames.find(({ type }) => type === "message");
    expect(slow.streamed(end?.["answer"])).toBe(end?.["content"]);
    expect(await service.exited).toEqual({ code: 0, signal: null });
  });
});

describe("several stalled readers", () => {
  // When several sockets drain in one turn, uWebSockets.js stops waiting for writability of a socket that is filled
  // again within its drain event.
  it("all get every byte when they resume together", async () => {
    const bytes = 8_000_001;
    const service = await startService({
      AI_PROVIDER: "echo",
      ECHO_ANSWER_BYTES: String(bytes),
      MAX_ANSWER_BYTES: "8388608",
      MAX_OUTPUT_TOKENS: "1048576",
    });
    const readers = await Promise.all(
      Array.from({ length: 6 }, () => ChatSocket.greeted(`${service.url}/ws/chat?stream=true`)),
    );
    for (const reader of readers) {
      reader.pause();
      reader.send({ message: "東京", id: "m" });
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
    for (const reader of readers) reader.resume();
    for (const reader of readers) {
      const end = await reader.next(({ type }) => type === "message");
      expect(Buffer.byteLength(end["content"] as string)).toBe(bytes);
      expect(reader.streamed(end["answer"]) === end["content"]).toBe(true);
      reader.cut();
    }
    await service.stop();
  });
});
