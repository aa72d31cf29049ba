import { describe, expect, it } from "vitest";
import { sessionBench, type SessionBench, type TestClient } from "../../../support/session-bench.ts";
import { settle } from "../../../support/virtual-clock.ts";

/** Connects a new socket that resumes an answer from its beginning. */
async function replay(bench: SessionBench, secret: string, answer: string): Promise<TestClient> {
  const client = bench.connect({ streaming: true });
  client.take();
  await client.send({ type: "resume", session: secret, answers: [{ answer, from: 0 }] });
  return client;
}

describe("replayed text", () => {
  it("is limited to its rate, final frames included, and the wait does not count as a stall", async () => {
    const bench = sessionBench({ replayBytesPerSecond: 40_000 });
    const first = bench.connect({ streaming: true });
    await first.send({ message: "Hi" });
    const whole = "x".repeat(200_000);
    bench.provider.call.start().say(whole);
    await settle();
    const answer = String(first.socket.framesOf("token")[0]?.["answer"]);
    // New text is not limited.
    expect(first.socket.framesOf("token").at(-1)?.["to"]).toBe(200_000);
    const second = await replay(bench, first.secret, answer);
    first.socket.vanish();
    expect(second.socket.framesOf("token").at(-1)?.["to"]).toBe(32_768);
    await bench.clock.pass(2000);
    const after = Number(second.socket.framesOf("token").at(-1)?.["to"]);
    expect(after).toBeGreaterThan(90_000);
    expect(after).toBeLessThanOrEqual(40_000 + 2 * 40_000 + 32_768);
    await bench.clock.pass(20_000);
    bench.provider.call.say("new").finish();
    await bench.clock.pass(30_000);
    expect(second.socket.frames.at(-1)).toMatchObject({ finish_reason: "stop", content: `${whole}new` });
    expect(
      second.socket
        .framesOf("token")
        .map(({ content }) => content)
        .join(""),
    ).toBe(`${whole}new`);
  });

  it("includes the results of commands that used no model, repeated or not, by the bytes that are sent", async () => {
    const bench = sessionBench({ replayBytesPerSecond: 10_000 });
    const client = bench.connect();
    const context = "\u0001".repeat(5000);
    await client.send({ message: `/setcontext text="${context}"` });
    await bench.clock.pass(60_000);
    client.take();
    for (let index = 0; index < 8; index++) {
      await client.send({
        message: "/getcontext",
        ...(index % 2 === 0 && { id: "same", conversation: "c" }),
      });
      await bench.clock.pass(1000);
    }
    const bytes = () => client.socket.texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
    // The burst, 8 seconds, and one result of 30,000 bytes that was started within the budget.
    expect(bytes()).toBeLessThan(10_000 + 8 * 10_000 + 32_000);
    await bench.clock.pass(60_000);
    // A repeated message whose answer is still being delivered gets no second frame.
    expect(client.socket.framesOf("command_response").length).toBeGreaterThanOrEqual(7);
    for (const { result } of client.socket.framesOf("command_response"))
      expect(result).toMatchObject({ context });
  });

  it("is counted by the bytes that JSON makes of it", async () => {
    const bench = sessionBench({ replayBytesPerSecond: 20_000 });
    const first = bench.connect({ streaming: true });
    await first.send({ message: "Hi" });
    bench.provider.call.start().say("\u0001".repeat(30_000));
    await settle();
    const answer = String(first.socket.framesOf("token")[0]?.["answer"]);
    const second = await replay(bench, first.secret, answer);
    const third = await replay(bench, first.secret, answer);
    expect(second.socket.framesOf("token").at(-1)?.["to"]).toBe(30_000);
    // 180,000 bytes were sent, so the next ones have to wait for eight seconds.
    await bench.clock.pass(7000);
    expect(third.socket.framesOf("token")).toEqual([]);
    await bench.clock.pass(3000);
    expect(third.socket.framesOf("token").at(-1)?.["to"]).toBe(30_000);
  });

  it("of one client does not slow down another client", async () => {
    const bench = sessionBench({ replayBytesPerSecond: 1000 });
    const clients = [bench.connect({ address: "a" }), bench.connect({ address: "b" })];
    for (const client of clients) {
      await client.send({ message: "Hi", id: "i", conversation: "c" });
      bench.provider.call.answer("x".repeat(5000));
      await settle();
    }
    const [a, b] = clients as [TestClient, TestClient];
    for (let round = 0; round < 3; round++) await a.send({ message: "Hi", id: "i", conversation: "c" });
    await b.send({ message: "Hi", id: "i", conversation: "c" });
    expect(a.socket.framesOf("message")).toHaveLength(2);
    expect(b.socket.framesOf("message")).toHaveLength(2);
  });
});

describe("an evicted answer", () => {
  it("ends with resume_expired for a socket that had not read it, and disturbs no other socket", async () => {
    const bench = sessionBench({ answerBudgetBytes: 100_000 });
    const [slow, quick] = [bench.connect({ streaming: true }), bench.connect({ streaming: true })];
    slow.socket.onSend = () => "queued";
    for (const client of [slow, quick]) {
      await client.send({ message: "Hi", id: "i" });
      bench.provider.call.start().say("x".repeat(30_000));
      await settle();
    }
    for (const call of bench.provider.calls) call.say("y".repeat(8000)).finish();
    await settle();
    await quick.send({ message: "more", id: "j" });
    bench.provider.call.start().say("z".repeat(60_000));
    await settle();
    slow.socket.onSend = () => "sent";
    slow.drain();
    expect(slow.socket.frames.at(-1)).toMatchObject({ type: "error", code: "resume_expired", id: "i" });
    expect(slow.session.busy).toBe(false);
    bench.provider.call.finish();
    await settle();
    expect(quick.socket.frames.at(-1)).toMatchObject({ type: "message", id: "j" });
    expect(quick.socket.framesOf("error")).toEqual([]);
  });
});
