import { describe, expect, it } from "vitest";
import type { Frame } from "../../../support/fake-socket.ts";
import { sessionBench, type SessionBench, type TestClient } from "../../../support/session-bench.ts";
import { settle } from "../../../support/virtual-clock.ts";

const RETENTION_MS = 120_000;

/** A client in the middle of an answer whose text so far is "ab€😀". */
async function midAnswer(bench: SessionBench = sessionBench()) {
  const first = bench.connect({ streaming: true });
  await first.send({ message: "Hi", id: "i" });
  bench.provider.call.start().say("ab€😀");
  await settle();
  const answer = String(first.socket.framesOf("token")[0]?.["answer"]);
  return { bench, first, answer };
}

/** Connects a new socket that resumes the session and the answers. */
async function resumeAnswers(
  bench: SessionBench,
  secret: string,
  answers: readonly { answer: string; from: number }[],
  streaming = true,
): Promise<TestClient> {
  const client = bench.connect({ streaming });
  client.take();
  await client.send({ type: "resume", session: secret, answers });
  return client;
}

function texts(frames: readonly Frame[]): unknown[][] {
  return frames.filter(({ type }) => type === "token").map(({ from, to, content }) => [from, to, content]);
}

describe("resume during an answer", () => {
  it("continues the text at the offset without disturbing the answer", async () => {
    const { bench, first, answer } = await midAnswer();
    first.socket.vanish();
    bench.provider.call.say("cd");
    await bench.clock.pass(10_000);
    const second = await resumeAnswers(bench, first.secret, [{ answer, from: 5 }]);
    expect(texts(second.socket.frames)).toEqual([[5, 11, "😀cd"]]);
    bench.provider.call.say("e").finish();
    await settle();
    expect(texts(second.socket.frames)).toEqual([
      [5, 11, "😀cd"],
      [11, 12, "e"],
    ]);
    expect(second.socket.frames.at(-1)).toMatchObject({ type: "message", id: "i", content: "ab€😀cde" });
    expect(bench.provider.calls).toHaveLength(1);
  });

  it.each([
    [3, 2],
    [4, 2],
    [6, 5],
    [8, 5],
    [9, 9],
  ])("moves an offset inside a character back to its start: %i to %i", async (from, start) => {
    const { bench, first, answer } = await midAnswer();
    const second = await resumeAnswers(bench, first.secret, [{ answer, from }]);
    bench.provider.call.say("!");
    await settle();
    const content = Buffer.from("ab€😀!").toString("utf8", start);
    expect(
      texts(second.socket.frames)
        .map(([, , text]) => text)
        .join(""),
    ).toBe(content);
    expect(texts(second.socket.frames)[0]?.[0]).toBe(start);
  });

  it("stops the abandon timer of an answer without watchers", async () => {
    const { bench, first, answer } = await midAnswer();
    first.socket.vanish();
    await bench.clock.pass(14_000);
    const second = await resumeAnswers(bench, first.secret, [{ answer, from: 0 }]);
    await bench.clock.pass(60_000);
    bench.provider.call.finish();
    await settle();
    expect(second.socket.frames.at(-1)).toMatchObject({ finish_reason: "stop" });
  });

  it("sends an answer that has ended while it is retained, and resume_expired after that", async () => {
    const { bench, first, answer } = await midAnswer();
    bench.provider.call.finish();
    await bench.clock.pass(RETENTION_MS - 2000);
    const second = await resumeAnswers(bench, first.secret, [{ answer, from: 2 }]);
    expect(texts(second.socket.frames)).toEqual([[2, 9, "€😀"]]);
    expect(second.socket.frames.at(-1)).toMatchObject({ type: "message", content: "ab€😀" });
    await bench.clock.pass(4000);
    const third = await resumeAnswers(bench, first.secret, [{ answer, from: 2 }]);
    expect(third.take()).toMatchObject([
      { type: "system", event: "resumed" },
      { type: "error", code: "resume_expired", answer, retryable: false },
    ]);
    await third.send({ message: "/help" });
    expect(third.take()).toMatchObject([{ type: "command_response" }]);
  });

  it("sends the text of an abandoned answer to a late socket", async () => {
    const { bench, first, answer } = await midAnswer();
    first.socket.vanish();
    await bench.clock.pass(15_000);
    const second = await resumeAnswers(bench, first.secret, [{ answer, from: 9 }]);
    expect(second.socket.frames.at(-1)).toMatchObject({ finish_reason: "abandoned", content: "ab€😀" });
  });

  it("refuses an answer of another client exactly as an unknown one", async () => {
    const { bench, answer } = await midAnswer();
    const other = bench.connect({ streaming: true });
    const second = await resumeAnswers(bench, other.secret, [
      { answer, from: 0 },
      { answer: "none", from: 0 },
    ]);
    const [, foreign, unknown] = second.take();
    expect(foreign).toMatchObject({ type: "error", code: "resume_expired", answer });
    expect({ ...foreign, answer: "none" }).toEqual(unknown);
  });

  it("refuses an offset beyond the text, and continues the other answers", async () => {
    const { bench, first, answer } = await midAnswer();
    const second = await resumeAnswers(bench, first.secret, [
      { answer, from: 10 },
      { answer, from: 9 },
    ]);
    expect(second.take()).toMatchObject([
      { event: "resumed" },
      {
        type: "error",
        code: "generation_lost",
        answer,
        id: "i",
        retryable: true,
        message: "The text of this answer ends at offset 9; `from` was 10.",
      },
    ]);
    bench.provider.call.say("c");
    await settle();
    expect(texts(second.socket.frames)).toEqual([[9, 10, "c"]]);
  });

  it("repeats the queue position, and the fallbacks at the offset or after it", async () => {
    const bench = sessionBench();
    const created = bench.log.create.bind(bench.log);
    let writer: ReturnType<typeof created> | undefined;
    bench.log.create = (meta) => (writer = created(meta));
    const first = bench.connect({ streaming: true });
    await first.send({ message: "Hi" });
    bench.provider.call.queued(3);
    await settle();
    const answer = String(first.socket.framesOf("queued")[0]?.["answer"]);
    const second = await resumeAnswers(bench, first.secret, [{ answer, from: 0 }]);
    expect(second.take()).toMatchObject([{ event: "resumed" }, { type: "queued", position: 3 }]);
    const fallback = { type: "fallback", toProvider: "b", phase: "mid_stream", reason: "r" } as const;
    bench.provider.call.start().say("abc");
    await settle();
    writer?.addEvent({ ...fallback, fromProvider: "first" });
    writer?.append("def");
    writer?.addEvent({ ...fallback, fromProvider: "second" });
    const third = await resumeAnswers(bench, first.secret, [{ answer, from: 4 }]);
    const fourth = await resumeAnswers(bench, first.secret, [{ answer, from: 3 }]);
    const seen = (client: TestClient) =>
      client
        .take()
        .slice(1)
        .map(({ content, from_provider: from }) => content ?? from);
    expect(seen(third)).toEqual(["ef", "second"]);
    expect(seen(fourth)).toEqual(["first", "def", "second"]);
  });

  it("repeats that turns were left out to a client that resumes at the start, not later", async () => {
    const bench = sessionBench();
    const first = bench.connect({ streaming: true });
    await first.send({ message: "Hi" });
    bench.provider.call.start(2).say("abc");
    await settle();
    const [cut] = first.socket.frames.filter(({ event }) => event === "history_cut");
    const answer = String(cut?.["answer"]);
    const fromStart = await resumeAnswers(bench, first.secret, [{ answer, from: 0 }]);
    expect(fromStart.take()).toMatchObject([
      { event: "resumed" },
      { event: "history_cut", answer, turns: 2 },
      { type: "token", content: "abc" },
    ]);
    const later = await resumeAnswers(bench, first.secret, [{ answer, from: 1 }]);
    expect(later.take()).toMatchObject([{ event: "resumed" }, { type: "token", content: "bc" }]);
  });

  it("sends a socket without streaming the whole answer once", async () => {
    const { bench, first, answer } = await midAnswer();
    const second = await resumeAnswers(bench, first.secret, [{ answer, from: 5 }], false);
    bench.provider.call.say("c").finish();
    await settle();
    expect(second.socket.types).toEqual(["system", "message"]);
    expect(second.socket.frames.at(-1)).toMatchObject({ content: "ab€😀c" });
  });

  it("lets several sockets read one answer at their own pace, undisturbed by one that closes", async () => {
    const { bench, first, answer } = await midAnswer();
    const second = await resumeAnswers(bench, first.secret, [{ answer, from: 0 }]);
    const third = await resumeAnswers(bench, first.secret, [{ answer, from: 5 }]);
    second.socket.onSend = () => "queued";
    for (const token of ["c", "d", "e"]) {
      bench.provider.call.say(token);
      await settle();
    }
    third.socket.vanish();
    bench.provider.call.say("f").finish();
    await settle();
    second.socket.onSend = () => "sent";
    second.drain();
    const whole = "ab€😀cdef";
    for (const client of [first, second]) {
      expect(
        texts(client.socket.frames)
          .map(([, , text]) => text)
          .join(""),
      ).toBe(whole);
      expect(client.socket.frames.at(-1)).toMatchObject({ type: "message", content: whole });
      expect(client.socket.breaches).toEqual([]);
    }
    expect(first.socket.framesOf("token").length).toBeGreaterThan(second.socket.framesOf("token").length);
  });
});
