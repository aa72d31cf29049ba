import { describe, expect, it } from "vitest";
import type { Frame } from "../../../support/fake-socket.ts";
import { sessionBench, type SessionBench } from "../../../support/session-bench.ts";
import { settle } from "../../../support/virtual-clock.ts";

/** Reasoning and text frames as `type from to content`. */
function pieces(frames: readonly Frame[]): string[] {
  return frames
    .filter(({ type }) => type === "reasoning" || type === "token")
    .map(({ type, from, to, content }) => [type, from, to, content].join(" "));
}

/** A client that asked for the reasoning and has received "Hm€" of it. */
async function midReasoning(bench: SessionBench = sessionBench()) {
  const first = bench.connect({ streaming: true });
  await first.send({ message: "Hi", id: "i", reasoning: true });
  bench.provider.call.start().reason("Hm€");
  await settle();
  const answer = String(first.socket.framesOf("reasoning")[0]?.["answer"]);
  const resume = async (fields: object, from: object, streaming = true) => {
    const client = bench.connect({ streaming });
    client.take();
    await client.send({
      type: "resume",
      session: first.secret,
      ...fields,
      answers: [{ answer, from: 0, ...from }],
    });
    return client;
  };
  return { bench, first, answer, resume };
}

describe("reasoning frames", () => {
  it("reach only the sockets that requested them, with offsets of their own", async () => {
    const bench = sessionBench();
    const asking = bench.connect({ streaming: true });
    const other = bench.connect({ streaming: true });
    await asking.send({ message: "Hi", id: "i", reasoning: true });
    await other.send({ message: "Hi", id: "j" });
    for (const call of bench.provider.calls) call.start().reason("Hm");
    await settle();
    for (const call of bench.provider.calls) call.reason("😀").say("Hello");
    await settle();
    for (const call of bench.provider.calls) call.finish();
    await settle();
    expect(pieces(asking.socket.frames)).toEqual(["reasoning 0 2 Hm", "reasoning 2 6 😀", "token 0 5 Hello"]);
    expect(pieces(other.socket.frames)).toEqual(["token 0 5 Hello"]);
    for (const client of [asking, other]) {
      expect(client.socket.frames.at(-1)).toMatchObject({
        type: "message",
        content: "Hello",
        usage: { completion_tokens: 3, reasoning_tokens: 2 },
      });
    }
  });

  it("reach a socket without the extended frames only if it requested them", async () => {
    const bench = sessionBench();
    const plain = bench.connect();
    await plain.send({ message: "Hi", id: "i" });
    bench.provider.call.start().reason("Hm.").say("Hello").finish();
    await settle();
    expect(plain.socket.types).toEqual(["system", "message"]);
    plain.take();
    await plain.send({ message: "Hi", id: "j", reasoning: true });
    bench.provider.call.start().reason("Hm.").say("Hello").finish();
    await settle();
    expect(plain.socket.types).toEqual(["reasoning", "message"]);
  });

  it("leave no field in the usage of an answer without reasoning", async () => {
    const bench = sessionBench();
    const client = bench.connect();
    await client.send({ message: "Hi", reasoning: true });
    bench.provider.call.answer("Hello");
    await settle();
    expect(client.socket.frames.at(-1)?.["usage"]).not.toHaveProperty("reasoning_tokens");
  });

  it("continue at the offset after a lost connection, in the middle of the reasoning and after the end", async () => {
    const { bench, first, resume } = await midReasoning();
    first.socket.vanish();
    bench.provider.call.reason(" well");
    await settle();
    const second = await resume({ reasoning: true }, { reasoning_from: 5 });
    expect(pieces(second.socket.frames)).toEqual(["reasoning 5 10  well"]);
    bench.provider.call.reason(".").say("Hi").finish();
    await settle();
    expect(pieces(second.take())).toEqual(["reasoning 5 10  well", "reasoning 10 11 .", "token 0 2 Hi"]);
    const third = await resume({ reasoning: true }, { from: 1, reasoning_from: 10 });
    expect(pieces(third.socket.frames)).toEqual(["reasoning 10 11 .", "token 1 2 i"]);
    const fourth = await resume({ reasoning: true }, {});
    expect(pieces(fourth.socket.frames)).toEqual(["reasoning 0 11 Hm€ well.", "token 0 2 Hi"]);
    expect(bench.provider.calls).toHaveLength(1);
  });

  it("are not sent after a resume that does not request them", async () => {
    const { bench, resume } = await midReasoning();
    const second = await resume({}, { reasoning_from: 2 });
    bench.provider.call.reason(".").say("Hi").finish();
    await settle();
    expect(pieces(second.socket.frames)).toEqual(["token 0 2 Hi"]);
  });

  it("begin at a character, and a later offset than their end is generation_lost", async () => {
    const { resume, answer } = await midReasoning();
    expect(pieces((await resume({ reasoning: true }, { reasoning_from: 4 })).socket.frames)).toEqual([
      "reasoning 2 5 €",
    ]);
    const second = await resume({ reasoning: true }, { reasoning_from: 6 });
    expect(second.socket.frames.at(-1)).toMatchObject({ type: "error", code: "generation_lost", answer });
  });

  it("are joined by a repeated message, whether or not the first one requested them", async () => {
    const bench = sessionBench();
    const first = bench.connect({ streaming: true });
    await first.send({ message: "Hi", id: "i", conversation: "c" });
    bench.provider.call.start().reason("Hm.").say("Hello").finish();
    await settle();
    first.take();
    await first.send({ message: "Hi", id: "i", conversation: "c", reasoning: true });
    expect(pieces(first.take())).toEqual(["reasoning 0 3 Hm.", "token 0 5 Hello"]);
    expect(bench.provider.calls).toHaveLength(1);
  });

  it("wait for a blocked socket in the log, and count as unread text there", async () => {
    const bench = sessionBench();
    const client = bench.connect({ streaming: true });
    await client.send({ message: "Hi", id: "i", reasoning: true });
    client.socket.onSend = () => "queued";
    bench.provider.call.start().reason("a");
    await settle();
    for (const piece of ["b", "c", "d"]) bench.provider.call.reason(piece);
    await settle();
    expect(pieces(client.socket.frames)).toEqual(["reasoning 0 1 a"]);
    client.drain();
    expect(pieces(client.socket.frames)).toEqual(["reasoning 0 1 a", "reasoning 1 4 bcd"]);
    bench.provider.call.reason("e");
    await bench.clock.pass(20_000);
    expect(bench.provider.call.stopped).toBe(true);
    expect(client.socket.breaches).toEqual([]);
  });

  it("never stall a socket that does not request them", async () => {
    const bench = sessionBench();
    const client = bench.connect({ streaming: true });
    await client.send({ message: "Hi", id: "i" });
    bench.provider.call.start();
    await settle();
    client.socket.onSend = () => "queued";
    await client.send({ type: "ping" });
    bench.provider.call.reason("a");
    await bench.clock.pass(60_000);
    expect(bench.provider.call.stopped).toBe(false);
  });

  it("take from the budget of replayed text when they are sent again", async () => {
    const bench = sessionBench({ replayBytesPerSecond: 40_000 });
    const { first, resume } = await midReasoning(bench);
    bench.provider.call.reason("x".repeat(200_000));
    await settle();
    first.socket.vanish();
    const second = await resume({ reasoning: true }, {});
    const sent = () => Number(second.socket.framesOf("reasoning").at(-1)?.["to"]);
    expect(sent()).toBeLessThanOrEqual(40_000);
    await bench.clock.pass(2000);
    expect(sent()).toBeLessThanOrEqual(3 * 40_000 + 32_768);
    await bench.clock.pass(20_000);
    expect(sent()).toBe(200_005);
    const whole = second.socket.framesOf("reasoning").map(({ content }) => String(content));
    expect(whole.join("")).toBe(`Hm€${"x".repeat(200_000)}`);
  });

  it("come before the text, also while they wait for that budget", async () => {
    const bench = sessionBench({ replayBytesPerSecond: 40_000 });
    const { first, resume } = await midReasoning(bench);
    bench.provider.call.reason("x".repeat(100_000));
    await settle();
    first.socket.vanish();
    const second = await resume({ reasoning: true }, {});
    bench.provider.call.say("Hi").finish();
    await bench.clock.pass(20_000);
    const types = second.socket.types.filter((type) => type === "reasoning" || type === "token");
    expect(types.lastIndexOf("reasoning")).toBe(types.indexOf("token") - 1);
    expect(second.socket.framesOf("reasoning").at(-1)?.["to"]).toBe(100_005);
    expect(second.socket.frames.at(-1)).toMatchObject({ type: "message", content: "Hi" });
  });

  it("are collected into larger frames on a busy loop, also after the progress of a long prompt", async () => {
    const bench = sessionBench();
    bench.loop.busy = 1;
    const client = bench.connect({ streaming: true });
    await client.send({ message: "Hi", reasoning: true });
    bench.provider.call.start().progress(5, 7);
    for (let time = 0; time < 1000; time += 10) {
      bench.provider.call.reason("a");
      await bench.clock.pass(10);
    }
    const frames = client.socket.framesOf("reasoning");
    expect(frames.map(({ content }) => content).join("")).toMatch(/^a{90,}$/);
    expect(frames.length).toBeLessThan(40);
    expect(client.socket.framesOf("progress")).toHaveLength(1);
  });

  it("end the answer with `length` at the limit of its bytes", async () => {
    const bench = sessionBench({ maxAnswerBytes: 8 });
    const client = bench.connect({ streaming: true });
    await client.send({ message: "Hi", id: "i", reasoning: true });
    bench.provider.call.start().reason("123456", "789");
    await settle();
    expect(client.socket.frames.at(-1)).toMatchObject({
      type: "message",
      finish_reason: "length",
      content: "",
      usage: { reasoning_tokens: 1 },
    });
  });

  it("separate the reasoning of several requests by a blank line", async () => {
    const bench = sessionBench();
    const client = bench.connect({ streaming: true });
    await client.send({ message: "Hi", id: "i", reasoning: true });
    bench.provider.call.start().reason("One.").start().reason("Two.", " Three.").say("Hi").finish();
    await settle();
    const whole = client.socket.framesOf("reasoning").map(({ content }) => String(content));
    expect(whole.join("")).toBe("One.\n\nTwo. Three.");
  });
});
