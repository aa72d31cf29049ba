import fc from "../../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { sessionBench } from "../../../support/session-bench.ts";
import { tokenText } from "../../../support/token-text.ts";
import { settle } from "../../../support/virtual-clock.ts";

const chunk = fc.string({
  unit: fc.constantFrom("a", "é", "€", "😀", "👩‍👧", "\0", "\n", '"', "\\", "\u2028"),
  minLength: 1,
  maxLength: 6,
});
type Step = { readonly say: string } | { readonly block: boolean } | { readonly drain: true };
const step: fc.Arbitrary<Step> = fc.oneof(
  chunk.map((say) => ({ say })),
  fc.boolean().map((block) => ({ block })),
  fc.constant({ drain: true as const }),
);

describe("a streaming socket", () => {
  it("receives the exact text of the log under any back pressure, and nothing while it is blocked", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const { provider, connect } = sessionBench();
        const client = connect({ streaming: true });
        await client.send({ message: "Hi", id: "i" });
        provider.call.start();
        let whole = "";
        let frames = 0;
        for (const each of steps) {
          if ("block" in each) {
            client.socket.onSend = () => (each.block ? "queued" : "sent");
          } else if ("say" in each) {
            whole += each.say;
            provider.call.say(each.say);
            await settle();
          } else {
            client.drain();
          }
          // Without back pressure all text has been sent; otherwise at most one frame per step.
          const tokens = client.socket.framesOf("token");
          if (client.session.writable) expect(tokenText(tokens)).toBe(whole);
          expect(tokens.length - frames).toBeLessThanOrEqual(1);
          frames = tokens.length;
        }
        provider.call.finish();
        await settle();
        client.drain();
        client.drain();
        client.socket.onSend = () => "sent";
        client.drain();
        expect(client.socket.breaches).toEqual([]);
        expect(tokenText(client.socket.frames)).toBe(whole);
        expect(client.socket.types.at(-1)).toBe("message");
        expect(client.socket.frames.at(-1)).toMatchObject({ content: whole, id: "i", finish_reason: "stop" });
        expect(client.socket.framesOf("message")).toHaveLength(1);
        expect(client.session.busy).toBe(false);
      }),
      { numRuns: 60 },
    );
  }, 60_000);

  it("receives one frame for each turn with new text, and one for all text that it missed while blocked", async () => {
    const { provider, connect } = sessionBench();
    const client = connect({ streaming: true });
    await client.send({ message: "Hi" });
    provider.call.start().say("a");
    await settle();
    provider.call.say("b", "c");
    await settle();
    expect(client.socket.framesOf("token").map(({ content }) => content)).toEqual(["a", "bc"]);
    client.socket.onSend = () => "queued";
    provider.call.say("d");
    await settle();
    provider.call.say("e", "😀").finish();
    await settle();
    expect(client.socket.types.slice(-1)).toEqual(["token"]);
    client.socket.onSend = () => "sent";
    client.drain();
    expect(client.socket.framesOf("token").map(({ content }) => content)).toEqual(["a", "bc", "d", "e😀"]);
    expect(client.socket.types.at(-1)).toBe("message");
  });

  it("stays blocked after a drain event that left unsent bytes", async () => {
    const { provider, connect } = sessionBench();
    const client = connect({ streaming: true });
    await client.send({ message: "Hi" });
    client.socket.onSend = () => "queued";
    provider.call.start().say("a");
    await settle();
    provider.call.say("b");
    await settle();
    client.session.onDrain();
    expect(client.socket.framesOf("token")).toHaveLength(1);
    expect(client.socket.breaches).toEqual([]);
  });

  it("receives fallback frames at their positions in the text", async () => {
    const { connect, log, provider } = sessionBench();
    const client = connect({ streaming: true });
    // The test writes to the log directly, because the scripted provider cannot fall back.
    const created = log.create.bind(log);
    let writer: ReturnType<typeof created> | undefined;
    log.create = (meta) => (writer = created(meta));
    await client.send({ message: "Hi", id: "i" });
    client.socket.onSend = () => "queued";
    provider.call.start().say("é");
    await settle();
    const event = {
      type: "fallback",
      fromProvider: "local",
      toProvider: "openai",
      phase: "mid_stream",
      reason: "it crashed",
    } as const;
    writer?.append("b");
    writer?.addEvent(event);
    writer?.append("c");
    provider.call.finish();
    await settle();
    client.socket.onSend = () => "sent";
    client.drain();
    const frames = client.take().slice(1);
    expect(frames.map(({ type, content, at }) => [type, content ?? at])).toEqual([
      ["token", "é"],
      ["token", "b"],
      ["fallback", 3],
      ["token", "c"],
      ["message", "ébc"],
    ]);
    expect(tokenText(frames)).toBe("ébc");
  });

  it("receives its queue position at once, then changes at most twice a second, including the last one", async () => {
    const { connect, provider, clock } = sessionBench();
    const client = connect({ streaming: true });
    await client.send({ message: "Hi", id: "i" });
    for (let position = 40; position > 0; position--) {
      provider.call.queued(position);
      await clock.pass(100);
    }
    await clock.pass(1000);
    const queued = client.socket.framesOf("queued");
    expect(queued[0]).toEqual({
      type: "queued",
      id: "i",
      answer: expect.any(String) as string,
      reason: "engine",
      position: 40,
    });
    expect(queued.length).toBeGreaterThanOrEqual(8);
    expect(queued.length).toBeLessThanOrEqual(10);
    expect(queued.at(-1)?.["position"]).toBe(1);
    provider.call.progress(5, 10);
    await clock.pass(500);
    expect(client.socket.framesOf("progress")).toEqual([
      { type: "progress", id: "i", answer: queued[0]?.["answer"], processed: 5, total: 10 },
    ]);
  });

  it("receives no outdated queue position after its text has begun", async () => {
    const { connect, provider, clock } = sessionBench();
    const client = connect({ streaming: true });
    await client.send({ message: "Hi" });
    provider.call.queued(2);
    await settle();
    provider.call.queued(1).start().say("text");
    await clock.pass(2000);
    expect(client.socket.framesOf("queued").map(({ position }) => position)).toEqual([2]);
    provider.call.finish();
    await settle();
    expect(client.socket.types.at(-1)).toBe("message");
  });
});

describe("a socket without streaming", () => {
  it("never counts as stalled, and receives the whole answer once", async () => {
    const { connect, provider, clock } = sessionBench();
    const client = connect();
    await client.send({ message: "Hi" });
    client.socket.onSend = () => "queued";
    await client.send({ type: "ping" });
    provider.call.queued(1).start().say("a", "b");
    await clock.pass(100_000);
    provider.call.finish();
    await settle();
    expect(client.socket.types).toEqual(["system", "pong"]);
    client.drain();
    expect(client.socket.types).toEqual(["system", "pong", "message"]);
    expect(client.socket.frames.at(-1)).toMatchObject({ content: "ab", finish_reason: "stop" });
    expect(client.socket.breaches).toEqual([]);
  });

  it("receives a `system` frame at once when another provider continues", async () => {
    const { connect, log, provider } = sessionBench();
    const client = connect();
    const created = log.create.bind(log);
    let writer: ReturnType<typeof created> | undefined;
    log.create = (meta) => (writer = created(meta));
    await client.send({ message: "Hi" });
    provider.call.start().say("a");
    await settle();
    writer?.addEvent({
      type: "fallback",
      fromProvider: "local",
      toProvider: "openai",
      phase: "mid_stream",
      reason: "it crashed",
    });
    await settle();
    expect(client.socket.frames.slice(1)).toMatchObject([{ type: "system", event: "provider_changed" }]);
  });
});
