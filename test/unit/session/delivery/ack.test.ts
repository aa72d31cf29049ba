import { describe, expect, it } from "vitest";
import { sessionBench, type SessionBenchOptions } from "../../../support/session-bench.ts";
import { settle } from "../../../support/virtual-clock.ts";

/** A streaming client that has received "0123456789" as the beginning of its answer. */
async function reading(options: SessionBenchOptions = {}) {
  const bench = sessionBench({ maxUnackedBytes: 1000, ...options });
  const client = bench.connect({ streaming: true });
  await client.send({ message: "Hi", id: "i" });
  bench.provider.call.start().say("0123456789");
  await settle();
  const answer = String(client.socket.framesOf("token")[0]?.["answer"]);
  const ack = (to: number) => client.send({ type: "ack", answer, to });
  const sentTo = () => client.socket.framesOf("token").at(-1)?.["to"];
  const say = async (text: string) => {
    bench.provider.call.say(text);
    await settle();
  };
  return { ...bench, client, answer, ack, sentTo, say };
}

describe("a client that acknowledges", () => {
  it("is sent no more than its credit beyond the last ack, and more with each ack", async () => {
    const { ack, say, sentTo, client } = await reading();
    await ack(0);
    await say("x".repeat(5000));
    expect(sentTo()).toBe(1000);
    await ack(10);
    expect(sentTo()).toBe(1010);
    await ack(1010);
    expect(sentTo()).toBe(2010);
    // An older offset changes nothing.
    await ack(500);
    expect(sentTo()).toBe(2010);
    expect(client.socket.framesOf("error")).toEqual([]);
  });

  it("receives one frame for several acks, of which only the highest counts", async () => {
    const { say, client, answer, ack, sentTo } = await reading();
    await ack(0);
    await say("x".repeat(5000));
    const before = client.socket.framesOf("token").length;
    for (const to of [100, 700, 300, 650]) client.sendNow({ type: "ack", answer, to });
    await settle();
    expect(client.socket.framesOf("token")).toHaveLength(before + 1);
    expect(sentTo()).toBe(1700);
  });

  it("never receives a partial character when its credit ends within one", async () => {
    const { say, client, ack } = await reading();
    await ack(10);
    await say("€".repeat(2000));
    const last = client.socket.framesOf("token").at(-1);
    expect(last?.["to"]).toBe(10 + 999);
    expect(last?.["content"]).toBe("€".repeat(333));
  });

  it("is limited to its credit in every answer of the socket", async () => {
    const { client, provider, ack } = await reading();
    await ack(10);
    await client.send({ message: "more", id: "j", conversation: "other" });
    provider.call.start().say("y".repeat(3000));
    await settle();
    expect(client.socket.framesOf("token").findLast(({ id }) => id === "j")?.["to"]).toBe(1000);
  });

  it("has its answer stopped ABANDON_SECONDS after its last ack, and not before", async () => {
    const { clock, say, ack, client, provider } = await reading();
    await ack(10);
    await say("x".repeat(5000));
    await clock.pass(14_000);
    await ack(500);
    await clock.pass(14_900);
    expect(provider.call.stopped).toBe(false);
    await clock.pass(200);
    expect(provider.call.stopped).toBe(true);
    for (const to of [1500, 2500, 3500, 4500, 5010]) await ack(to);
    expect(client.socket.frames.at(-1)).toMatchObject({ type: "message", finish_reason: "abandoned" });
  });

  it("may wait for the model for any length of time after it has acknowledged everything", async () => {
    const { clock, provider, ack } = await reading();
    await ack(10);
    await clock.pass(100_000);
    expect(provider.call.stopped).toBe(false);
  });

  it("receives the final frame once all text was sent, acknowledged or not", async () => {
    const { client, provider, ack, say } = await reading();
    await ack(10);
    await say("x".repeat(900));
    provider.call.finish();
    await settle();
    expect(client.socket.types.at(-1)).toBe("message");
    await ack(910);
    expect(client.socket.types.at(-1)).toBe("message");
  });
});

describe("an ack", () => {
  it("of an ended or unknown answer is ignored", async () => {
    const { client, provider, ack, metrics } = await reading();
    provider.call.finish();
    await settle();
    client.take();
    await ack(10);
    await ack(99);
    await client.send({ type: "ack", answer: "none", to: 5 });
    expect(client.take()).toEqual([]);
    expect(metrics.received.filter((type) => type === "ack")).toHaveLength(3);
  });

  it.each([11, 5000])("beyond the sent text is a bad frame: %i", async (to) => {
    const { client, ack, answer } = await reading();
    await ack(to);
    expect(client.socket.frames.at(-1)).toMatchObject({
      type: "error",
      code: "bad_frame",
      message: `Field \`to\` of the ack frame is ${to}, which is more than was sent of answer "${answer}".`,
    });
  });

  it.each([-1, 1.5, "7"])("with an invalid offset is a bad frame: %s", async (to) => {
    const { client, answer } = await reading();
    await client.send({ type: "ack", answer, to });
    expect(client.socket.frames.at(-1)).toMatchObject({ type: "error", code: "bad_frame" });
  });

  it("sends nothing while the socket is blocked", async () => {
    const { client, say, ack } = await reading();
    await ack(10);
    await say("x".repeat(900));
    client.socket.onSend = () => "queued";
    await say("y".repeat(2000));
    await ack(900);
    expect(client.socket.breaches).toEqual([]);
    client.socket.onSend = () => "sent";
    client.drain();
    expect(client.socket.framesOf("token").at(-1)?.["to"]).toBe(1900);
  });
});

describe("a client that never acknowledges", () => {
  it("is sent all that its socket accepts, in frames of a bounded size", async () => {
    const { client, say, sentTo } = await reading();
    await say("z".repeat(100_000));
    expect(sentTo()).toBe(100_010);
    const sizes = client.socket.framesOf("token").map(({ from, to }) => Number(to) - Number(from));
    expect(Math.max(...sizes)).toBe(32_768);
  });

  it("keeps its answer running if it reads a frame within each ABANDON_SECONDS", async () => {
    const { client, clock, provider, say } = await reading();
    client.socket.onSend = () => "queued";
    await say("z".repeat(400_000));
    for (let round = 0; round < 12; round++) {
      await clock.pass(14_000);
      client.drain();
    }
    expect(provider.call.stopped).toBe(false);
    await clock.pass(15_100);
    expect(client.socket.framesOf("token").at(-1)?.["to"]).toBe(400_010);
    expect(provider.call.stopped).toBe(false);
  });
});
