import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startService, type Service } from "../support/service.ts";
import { WireClient } from "../support/wire-client.ts";

/** More than the buffers of both ends of a loopback connection take, so that much waits in the library. */
const ANSWER_BYTES = 12_000_000;
const IDLE_SECONDS = 8;
/** Well past the idle time, so that a socket whose time was not renewed is gone. */
const WATCHED_MS = (IDLE_SECONDS + 4) * 1000;

/**
 * Trap 8. The library pings 4 s before the idle time is over (up to 16 s with longer ones), behind all bytes that
 * wait; only what comes from the client or leaves the library's own buffer renews the time. Its own pings are kept even
 * where more waits than its limit (tried with 16 KiB).
 */
describe("the idle time of a reader that is behind", () => {
  let service: Service;
  const settings = {
    AI_PROVIDER: "echo",
    ECHO_ANSWER_BYTES: String(ANSWER_BYTES),
    MAX_ANSWER_BYTES: "16777216",
    MAX_OUTPUT_TOKENS: "1048576",
    IDLE_TIMEOUT_SECONDS: String(IDLE_SECONDS),
    ABANDON_SECONDS: "60",
  };

  beforeAll(async () => void (service = await startService(settings)));
  afterAll(() => service.stop());

  const figure = async (line: RegExp): Promise<number> =>
    Number(line.exec(await (await service.http("/metrics")).text())?.[1] ?? 0);
  const connected = () => figure(/^chat_connections\{kind="anonymous"\} (\d+)$/m);
  const dropped = () => figure(/^chat_connections_closed_total\{kind="anonymous",code="1006"\} (\d+)$/m);

  it("ends for one that neither reads nor sends, whose answer is kept; and for no other one", async () => {
    const silent = await WireClient.greeted(service.port);
    const speaking = await WireClient.greeted(service.port);
    const slow = await WireClient.greeted(service.port, { answersPings: false });
    const waiting = await WireClient.greeted(service.port);
    for (const client of [silent, speaking, slow])
      client.send({ message: "東京の雨は静かに降る。", id: "m" });
    const [session, begun] = await Promise.all([
      silent.next(({ event }) => event === "welcome"),
      silent.next(({ type }) => type === "token"),
    ]);
    await useCredit(waiting);
    silent.pause();
    speaking.pause();
    slow.readInSips(50);
    const stalled = speaking.frames.length;
    // Past the moment of the ping, each time: one lies in the buffer when the frame renews the time.
    const says = setInterval(() => speaking.send({ type: "ping" }), 5000);
    await new Promise((resolve) => setTimeout(resolve, WATCHED_MS));
    clearInterval(says);

    expect(await dropped()).toBe(1);
    expect(await connected()).toBe(3);
    // It shows no frame since it stalled, and its close only now.
    silent.resume();
    expect(await silent.closed).toMatchObject({ code: 1006 });
    const back = await WireClient.greeted(service.port);
    const answer = begun["answer"];
    back.send({ type: "resume", session: session["session"], answers: [{ answer, from: 0 }] });
    const end = await back.next(({ type }) => type === "message");
    expect(Buffer.byteLength(end["content"] as string)).toBe(ANSWER_BYTES);

    // It answers no ping; that bytes leave the library's buffer, a kernel's buffer full at a time, renews its time.
    expect(slow.isClosed).toBe(false);
    expect(slow.frames.some(({ type }) => type === "message")).toBe(false);

    expect(speaking.frames.length).toBe(stalled);
    speaking.resume();
    const whole = await speaking.next(({ type }) => type === "message");
    expect(Buffer.byteLength(whole["content"] as string)).toBe(ANSWER_BYTES);
    expect(speaking.frames.filter(({ type }) => type === "pong").length).toBeGreaterThanOrEqual(2);
    // The pings that fell due meanwhile lay behind the text; none was lost.
    expect(speaking.pings).toBeGreaterThanOrEqual(2);

    // Nothing is in its buffers, so it answers each ping; it waits for its own acks.
    expect(waiting.isClosed).toBe(false);
    expect(waiting.frames.some(({ type }) => type === "message")).toBe(false);
    expect(waiting.pings).toBeGreaterThanOrEqual(2);
    for (const client of [slow, back, speaking, waiting]) client.cut();
  }, 40_000);
});

/** Asks, acknowledges the beginning and then no more. */
async function useCredit(client: WireClient): Promise<void> {
  client.send({ message: "東京の雨は静かに降る。", id: "m" });
  const { answer } = (await client.next(({ type }) => type === "token")) as unknown as { answer: string };
  client.send({ type: "ack", answer, to: 0 });
}
