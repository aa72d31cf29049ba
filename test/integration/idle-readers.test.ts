import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { startService, type Service } from "../support/service.ts";
import { WireClient } from "../support/wire-client.ts";

/** More than the buffers of both ends of a loopback connection hold, so that much is buffered in the library. */
const ANSWER_BYTES = 12_000_000;
const IDLE_SECONDS = 8;
/** Well past the idle timeout, so that a socket whose timeout was not renewed has been closed. */
const WATCHED_MS = (IDLE_SECONDS + 4) * 1000;

/**
 * Trap 8. The library sends a ping 4 s before the idle timeout (up to 16 s before longer ones), after all buffered
 * bytes. Only data from the client, or bytes that leave the library's own buffer, renew the timeout. Its pings are kept
 * even if more is buffered than its limit (tested with 16 KiB).
 */
describe("the idle timeout of a slow reader", () => {
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

  it("closes only a socket that neither reads nor sends, and keeps its answer", async () => {
    const silent = await WireClient.greeted(service.port);
    const sending = await WireClient.greeted(service.port);
    const slow = await WireClient.greeted(service.port, { answersPings: false });
    const waiting = await WireClient.greeted(service.port);
    for (const client of [silent, sending, slow]) client.send({ message: "東京の雨は静かに降る。", id: "m" });
    const [session, begun] = await Promise.all([
      silent.next(({ event }) => event === "welcome"),
      silent.next(({ type }) => type === "token"),
    ]);
    await useCredit(waiting);
    silent.pause();
    sending.pause();
    slow.readInSips(50);
    const stalled = sending.frames.length;
    // The library counts in steps of 4 s: it sends its ping at the first step after a frame, and closes at the second, so
    // 4 to 8 s after the frame. Each step finds a frame before it, so that pings are in the buffer too.
    const pinging = setInterval(() => sending.send({ type: "ping" }), 2500);
    onTestFinished(() => clearInterval(pinging));
    await new Promise((resolve) => setTimeout(resolve, WATCHED_MS));

    expect(await dropped()).toBe(1);
    expect(await connected()).toBe(3);
    // The client has read nothing since it stalled, so its close event fires only now.
    silent.resume();
    expect(await silent.closed).toMatchObject({ code: 1006 });
    const resumed = await WireClient.greeted(service.port);
    const answer = begun["answer"];
    resumed.send({ type: "resume", session: session["session"], answers: [{ answer, from: 0 }] });
    const end = await resumed.next(({ type }) => type === "message");
    expect(Buffer.byteLength(end["content"] as string)).toBe(ANSWER_BYTES);

    // It answers no ping. Its timeout is renewed because bytes leave the library's buffer, one kernel buffer at a time.
    expect(slow.isClosed).toBe(false);
    expect(slow.frames.some(({ type }) => type === "message")).toBe(false);

    expect(sending.frames.length).toBe(stalled);
    sending.resume();
    clearInterval(pinging);
    const whole = await sending.next(({ type }) => type === "message");
    expect(Buffer.byteLength(whole["content"] as string)).toBe(ANSWER_BYTES);
    expect(sending.frames.filter(({ type }) => type === "pong").length).toBeGreaterThanOrEqual(2);
    // The pings sent meanwhile were buffered after the text, and none was lost.
    expect(sending.pings).toBeGreaterThanOrEqual(2);

    // Its buffers are empty, so it answers each ping. The service waits for its acks.
    expect(waiting.isClosed).toBe(false);
    expect(waiting.frames.some(({ type }) => type === "message")).toBe(false);
    expect(waiting.pings).toBeGreaterThanOrEqual(2);
    for (const client of [slow, resumed, sending, waiting]) client.cut();
  });
});

/** Sends a message, acknowledges offset 0, and acknowledges nothing after that. */
async function useCredit(client: WireClient): Promise<void> {
  client.send({ message: "東京の雨は静かに降る。", id: "m" });
  const { answer } = (await client.next(({ type }) => type === "token")) as unknown as { answer: string };
  client.send({ type: "ack", answer, to: 0 });
}
