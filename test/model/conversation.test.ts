import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ChatSocket } from "../support/chat-socket.ts";
import { realModel, skipWithoutRealModel } from "../support/real-model.ts";
import { startService, type Service } from "../support/service.ts";

describe("the service with a real model", () => {
  let service: Service;

  skipWithoutRealModel();

  beforeAll(async () => {
    if (realModel !== undefined)
      service = await startService({ MODEL_PATH: realModel, MAX_OUTPUT_TOKENS: "64" });
  });

  afterAll(() => service?.stop());

  it("answers a client of the original protocol", async () => {
    const chat = await ChatSocket.greeted(`${service.url}/ws/chat`);
    const end = await chat.ask("What is the capital of France?", { temperature: 0 });
    expect(end).toMatchObject({ type: "message", provider: "local" });
    expect(end["content"]).toMatch(/Paris/);
    expect(chat.frames.map(({ type }) => type)).toEqual(["system", "message"]);
    await chat.close();
  });

  it("streams tokens that together equal the message", async () => {
    const chat = await ChatSocket.greeted(`${service.url}/ws/chat?stream=true`);
    const end = await chat.ask("Say hello in three languages, with an emoji.");
    expect(chat.frames.filter(({ type }) => type === "token").length).toBeGreaterThan(3);
    expect(chat.streamed(end["answer"])).toBe(end["content"]);
    await chat.close();
  });

  it("executes the commands that use the model", async () => {
    const chat = await ChatSocket.greeted(`${service.url}/ws/chat`);
    await chat.ask("I have a dog called Rex.");
    const summary = await chat.command("/summarize");
    expect(summary).toMatchObject({ status: "success", summary: expect.stringMatching(/\w+/) as unknown });
    const analysis = await chat.command('/analyze text="I love this product, but the price is high."');
    expect(analysis).toMatchObject({
      status: "success",
      sentiment: expect.stringMatching(/^(positive|negative|neutral|mixed)$/) as unknown,
    });
    expect((analysis["key_points"] as string[]).every((point) => point.trim() !== "")).toBe(true);
    const translation = await chat.command('/translate text="Good morning" target_language="Spanish"');
    expect(translation).toMatchObject({
      status: "success",
      translation: expect.stringMatching(/\w+/) as unknown,
    });
    await chat.close();
  });

  it("answers one message from each of 200 sockets at once, without losing or mixing up an answer", async () => {
    const sockets = await Promise.all(
      Array.from({ length: 200 }, () => ChatSocket.greeted(`${service.url}/ws/chat?stream=true`)),
    );
    const ends = await Promise.all(
      sockets.map((socket, index) =>
        socket.ask(`Say the number ${index}.`, { id: `m${index}`, max_tokens: 8 }, 240_000),
      ),
    );
    ends.forEach((end, index) => {
      expect(end).toMatchObject({ type: "message", id: `m${index}` });
      const socket = sockets[index] as ChatSocket;
      expect(socket.streamed(end["answer"])).toBe(end["content"]);
      expect(socket.frames.filter(({ id }) => id !== undefined && id !== `m${index}`)).toEqual([]);
    });
    await Promise.all(sockets.map((socket) => socket.close()));
  }, 300_000);
});
