import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ChatSocket, type Frame } from "../support/chat-socket.ts";
import { startService, until, type Service } from "../support/service.ts";

const sha256 = (text: string | Buffer) => createHash("sha256").update(text).digest("hex");

/** An answer of two seconds at 8 ms per token, with UTF-8 characters of every length. */
const MESSAGE = "Ein Bär aß für 5 € Honig 🍯 und schlief. ".repeat(25);

/** The bytes of one answer that a client has received over all its sockets. */
class ReceivedAnswer {
  bytes = Buffer.alloc(0);

  take(frames: readonly Frame[], answer: unknown): void {
    for (const frame of frames) {
      if (frame.type !== "token" || frame["answer"] !== answer) continue;
      const content = Buffer.from(frame["content"] as string);
      const [from, to] = [this.bytes.length, this.bytes.length + content.length];
      if (frame["from"] !== from || frame["to"] !== to) {
        throw new Error(
          `expected ${from} to ${to}, received ${String(frame["from"])} to ${String(frame["to"])}`,
        );
      }
      this.bytes = Buffer.concat([this.bytes, content]);
    }
  }
}

describe("resume over real sockets", () => {
  let service: Service;
  const open = () => ChatSocket.greeted(`${service.url}/ws/chat`, ["chat.v1"]);
  /** Opens a new socket and resumes the session. */
  const resume = async (session: unknown, answers: object[]) => {
    const socket = await open();
    socket.send({ type: "resume", session, answers });
    await socket.next(({ event }) => event === "resumed");
    return socket;
  };
  const firstToken = (socket: ChatSocket) => socket.next(({ type }) => type === "token");
  const end = (socket: ChatSocket) => socket.next(({ type }) => type === "message");

  beforeAll(async () => {
    service = await startService({
      AI_PROVIDER: "echo",
      ECHO_TOKEN_MS: "8",
      ABANDON_SECONDS: "30",
      MAX_UNACKED_BYTES: "1024",
    });
  });

  afterAll(() => service.stop());

  it("a connection that is cut repeatedly in the middle of an answer loses and repeats no byte", async () => {
    let socket = await open();
    const session = socket.welcome["session"];
    socket.send({ message: MESSAGE, id: "m" });
    const { answer } = (await firstToken(socket)) as unknown as { answer: string };
    const received = new ReceivedAnswer();
    let cuts = 0;
    for (; cuts < 6; cuts++) {
      await new Promise((resolve) => setTimeout(resolve, 30));
      socket.cut();
      await socket.closed;
      received.take(socket.frames, answer);
      socket = await resume(session, [{ answer, from: received.bytes.length }]);
    }
    const last = await end(socket);
    received.take(socket.frames, answer);
    expect(sha256(received.bytes)).toBe(sha256(MESSAGE));
    expect(last).toMatchObject({ id: "m", answer, content: MESSAGE, finish_reason: "stop" });
    await socket.close();
  });

  it("an answer that ended while the client was disconnected is delivered in full", async () => {
    const first = await open();
    first.send({ message: MESSAGE, id: "m" });
    const token = await firstToken(first);
    first.cut();
    await first.closed;
    const received = new ReceivedAnswer();
    received.take(first.frames, token["answer"]);
    await until(async () => /^chat_answers_running 0$/m.test(await (await service.http("/metrics")).text()));
    const second = await resume(first.welcome["session"], [
      { answer: token["answer"], from: received.bytes.length },
    ]);
    await end(second);
    received.take(second.frames, token["answer"]);
    expect(sha256(received.bytes)).toBe(sha256(MESSAGE));
    await second.close();
  });

  it("several tabs read one answer, and a cut of one does not affect the others", async () => {
    const first = await open();
    first.send({ message: MESSAGE, id: "m" });
    const { answer } = (await firstToken(first)) as unknown as { answer: string };
    const second = await resume(first.welcome["session"], [{ answer, from: 0 }]);
    const third = await resume(first.welcome["session"], [{ answer, from: 0 }]);
    await firstToken(third);
    third.cut();
    for (const tab of [first, second]) {
      expect((await end(tab))["content"]).toBe(MESSAGE);
      expect(sha256(tab.streamed(answer))).toBe(sha256(MESSAGE));
      await tab.close();
    }
  });

  it("a client that sends acks never receives more than its credit ahead, and gets the whole answer", async () => {
    const socket = await open();
    socket.send({ message: MESSAGE, id: "m" });
    const { answer } = (await firstToken(socket)) as unknown as { answer: string };
    socket.send({ type: "ack", answer, to: 0 });
    const sentTo = () => Number(socket.frames.findLast(({ type }) => type === "token")?.["to"]);
    await expect.poll(sentTo).toBeGreaterThan(1000);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    expect(sentTo()).toBeLessThanOrEqual(1024);
    while (sentTo() < Buffer.byteLength(MESSAGE)) {
      const to = sentTo();
      socket.send({ type: "ack", answer, to });
      await socket.next((frame) => frame.type === "token" && Number(frame["to"]) > to);
      expect(sentTo()).toBeLessThanOrEqual(to + 1024);
    }
    expect((await end(socket))["content"]).toBe(MESSAGE);
    expect(sha256(socket.streamed(answer))).toBe(sha256(MESSAGE));
    await socket.close();
  });

  it("a reloaded page receives its turns and its running answers", async () => {
    const first = await open();
    await first.ask("short", { id: "a" });
    first.send({ message: MESSAGE, id: "b" });
    const { answer } = (await first.next(({ type, id }) => type === "token" && id === "b")) as unknown as {
      answer: string;
    };
    first.cut();
    const second = await resume(first.welcome["session"], []);
    second.send({ type: "history" });
    const history = await second.next(({ type }) => type === "history");
    expect(history["turns"]).toEqual([
      { role: "user", content: "short" },
      { role: "assistant", content: "short" },
    ]);
    expect(history["running"]).toEqual([{ answer, id: "b", length: expect.any(Number) as number }]);
    await second.close();
  });
});
