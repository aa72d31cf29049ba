import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ChatSocket, type Frame } from "../support/chat-socket.ts";
import { startFaultServer, type FaultServer, type FaultStep } from "../support/fault-server.ts";
import { startService, type Service } from "../support/service.ts";

const REASONING = "Der Bär überlegt: 5 € für Honig 🍯? ".repeat(20);
const ANSWER = "Ja. <think>bleibt stehen</think>";

function chunk(delta: object, reason: string | null = null): FaultStep {
  return { send: `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: reason }] })}\n\n` };
}

/** Splits a text into pieces that are sent one after the other. */
function drip(text: string, delta: (piece: string) => object): FaultStep[] {
  const pieces = text.match(/[^]{1,6}/gu) ?? [];
  return pieces.flatMap((piece) => [chunk(delta(piece)), { waitMs: 2 }]);
}

const end: readonly FaultStep[] = [chunk({}, "stop"), { send: "data: [DONE]\n\n" }];

/** The content of the frames of one type, which must follow each other without a gap. */
function contentOf(type: string, frames: readonly Frame[], from = 0): string {
  let content = "";
  for (const frame of frames) {
    if (frame.type !== type) continue;
    const begin = from + Buffer.byteLength(content);
    if (frame["from"] !== begin)
      throw new Error(`a ${type} frame begins at ${String(frame["from"])}, not at ${begin}`);
    content += frame["content"] as string;
  }
  return content;
}

describe("reasoning of a remote model", () => {
  let upstream: FaultServer;
  let service: Service;
  const open = () => ChatSocket.greeted(`${service.url}/ws/chat?stream=true`);

  beforeAll(async () => {
    upstream = await startFaultServer();
    service = await startService({
      AI_PROVIDER: "openai",
      AI_FALLBACK: "none",
      OPENAI_API_KEY: "sk-0123456789",
      OPENAI_BASE_URL: upstream.baseUrl,
      AI_MODEL: "the-model",
    });
  });

  afterAll(async () => {
    await service.stop();
    await upstream.close();
  });

  it.each([
    ["fields", drip(REASONING, (reasoning_content) => ({ reasoning_content }))],
    ["text", drip(`<think>\n${REASONING.trimEnd()} </think>\n\n`, (content) => ({ content }))],
  ])("in %s survives cuts of the line exactly once", async (_, steps) => {
    upstream.play({ steps: [...steps, ...drip(ANSWER, (content) => ({ content })), ...end] });
    let socket = await open();
    const session = socket.welcome["session"];
    socket.send({ message: "Hi", id: "m", conversation: "c", reasoning: true });
    const { answer } = await socket.next(({ type }) => type === "reasoning");
    let reasoning = "";
    let text = "";
    for (let cuts = 0; cuts < 4; cuts++) {
      socket.cut();
      await socket.closed;
      reasoning += contentOf("reasoning", socket.frames, Buffer.byteLength(reasoning));
      text += contentOf("token", socket.frames, Buffer.byteLength(text));
      socket = await open();
      socket.send({
        type: "resume",
        session,
        reasoning: true,
        answers: [{ answer, from: Buffer.byteLength(text), reasoning_from: Buffer.byteLength(reasoning) }],
      });
      // One more piece, or the end if the answer is over.
      await socket.next(({ type }) => type === "reasoning" || type === "message");
    }
    const last = await socket.next(({ type }) => type === "message");
    reasoning += contentOf("reasoning", socket.frames, Buffer.byteLength(reasoning));
    text += contentOf("token", socket.frames, Buffer.byteLength(text));
    expect(reasoning).toBe(REASONING);
    expect(text).toBe(ANSWER);
    expect(last).toMatchObject({ content: ANSWER, finish_reason: "stop" });
    expect((last["usage"] as Record<string, number>)["reasoning_tokens"]).toBeGreaterThan(100);
    await socket.close();
  });

  it("reaches no socket, history or later request without being asked for", async () => {
    const steps = [chunk({ content: "<think>secret" }), chunk({ content: "</think>Hi" }), ...end];
    upstream.play({ steps });
    const socket = await open();
    await socket.ask("Hello", { id: "a" });
    expect(await socket.command("/summarize")).toMatchObject({ summary: "Hi" });
    expect(await socket.command('/translate text="a" target_language="b"')).toMatchObject({
      translation: "Hi",
    });
    socket.send({ type: "history" });
    await socket.next(({ type }) => type === "history");
    expect(JSON.stringify(socket.frames)).not.toContain("secret");
    expect(JSON.stringify(upstream.requests.slice(-2).map(({ body }) => body))).not.toContain("secret");
    await socket.close();
  });

  it("that the token limit ends gives an empty answer", async () => {
    upstream.play({
      steps: [chunk({ content: "<think>On and" }), chunk({ content: " on" }, "length"), ...end.slice(1)],
    });
    const socket = await open();
    const last = await socket.ask("Hello", { id: "a", reasoning: true });
    expect(last).toMatchObject({ type: "message", content: "", finish_reason: "length" });
    expect(contentOf("reasoning", socket.frames)).toBe("On and on");
    await socket.close();
  });
});
