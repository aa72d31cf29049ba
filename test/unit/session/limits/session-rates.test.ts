import { describe, expect, it } from "vitest";
import { sessionBench } from "../../../support/session-bench.ts";

const ping = { type: "ping" };

describe("frames over the rate", () => {
  it("are refused with the time to wait, and have no effect", async () => {
    const bench = sessionBench({ rates: { framesPerSecond: 2 } });
    const client = bench.connect();
    client.take();
    for (let index = 0; index < 4; index++) client.sendNow(ping);
    await client.send({ message: "Hi", id: "mine" });
    expect(client.socket.types).toEqual(["pong", "pong", "pong", "pong", "error"]);
    expect(client.socket.frames.at(-1)).toEqual({
      type: "error",
      code: "rate_limited",
      message: "Too many frames on this connection; wait 500 ms.",
      retryable: true,
      retry_after_ms: 500,
      id: "mine",
    });
    expect(bench.provider.calls).toHaveLength(0);
    expect(bench.metrics.hits).toEqual(["frame_rate"]);
    await bench.clock.pass(500);
    await client.send({ message: "Hi", id: "mine" });
    expect(bench.provider.calls).toHaveLength(1);
  });

  it("are refused whatever they contain: bad and binary frames count too", () => {
    const bench = sessionBench({ rates: { framesPerSecond: 1 }, maxBadFrames: 100 });
    const client = bench.connect();
    client.take();
    client.sendNow("{");
    client.session.onBinary();
    client.sendNow("{");
    client.session.onBinary();
    expect(client.take().map(({ code }) => code)).toEqual([
      "bad_frame",
      "bad_frame",
      "rate_limited",
      "rate_limited",
    ]);
    expect(bench.metrics.received).toEqual(["invalid", "invalid", "invalid", "invalid"]);
  });

  it("close the socket with 4429 at the twentieth refusal within ten seconds", async () => {
    const bench = sessionBench({ rates: { framesPerSecond: 1 } });
    const client = bench.connect();
    for (let index = 0; index < 2 + 19; index++) client.sendNow(ping);
    expect(client.socket.ended).toBeNull();
    // Refusals older than ten seconds no longer count.
    await bench.clock.pass(10_001);
    for (let index = 0; index < 2 + 19; index++) client.sendNow(ping);
    expect(client.socket.ended).toBeNull();
    client.sendNow(ping);
    expect(client.socket.ended).toEqual({ code: 4429, reason: "rate limits were ignored" });
    expect(client.socket.framesOf("error")).toHaveLength(39);
    expect(client.socket.breaches).toEqual([]);
  });

  it("are counted for each socket separately", () => {
    const bench = sessionBench({ rates: { framesPerSecond: 1 } });
    const [one, two] = [bench.connect(), bench.connect()];
    for (let index = 0; index < 5; index++) one.sendNow(ping);
    two.sendNow(ping);
    expect(two.socket.types).toEqual(["system", "pong"]);
  });
});

describe("messages over the rate", () => {
  it("are counted over all sockets of a subject, without affecting other subjects", async () => {
    const bench = sessionBench({ rates: { messagesPerMinute: 4 }, script: (call) => call.answer("a") });
    const [one, two, other] = [bench.connectAs("ada"), bench.connectAs("ada"), bench.connectAs("bob")];
    for (let index = 0; index < 2; index++) {
      await one.send({ message: "Hi" });
      await two.send({ message: "/getcontext" });
    }
    await one.send({ message: "Hi", id: "late" });
    expect(one.socket.frames.at(-1)).toMatchObject({
      code: "rate_limited",
      id: "late",
      retry_after_ms: 15_000,
    });
    await other.send({ message: "Hi" });
    expect(other.socket.types.at(-1)).toBe("message");
    expect(bench.metrics.hits).toEqual(["message_rate"]);
    await bench.clock.pass(15_000);
    await two.send({ message: "Hi" });
    expect(two.socket.types.at(-1)).toBe("message");
  });

  it("are counted over all anonymous clients of an address, without affecting other addresses", async () => {
    const bench = sessionBench({
      rates: { messagesPerMinutePerAddress: 6 },
      script: (call) => call.answer("a"),
    });
    // Each message uses a new session, as in a flood.
    for (let index = 0; index < 6; index++) {
      const client = bench.connect({ address: "flood" });
      await client.send({ message: "Hi" });
      expect(client.socket.types.at(-1)).toBe("message");
      client.socket.vanish();
    }
    const seventh = bench.connect({ address: "flood" });
    await seventh.send({ message: "Hi" });
    expect(seventh.socket.frames.at(-1)).toMatchObject({ code: "rate_limited", retry_after_ms: 10_000 });
    for (const client of [bench.connect({ address: "home" }), bench.connectAs("ada")]) {
      await client.send({ message: "Hi" });
      expect(client.socket.types.at(-1)).toBe("message");
    }
    expect(bench.metrics.hits).toEqual(["address_message_rate"]);
  });

  it("close the socket with 4429 if its client continues to send", async () => {
    const bench = sessionBench({ rates: { messagesPerMinute: 1 } });
    const client = bench.connect();
    for (let index = 0; index < 21; index++) await client.send({ message: "Hi", conversation: "c" });
    expect(client.socket.ended?.code).toBe(4429);
    expect(bench.provider.calls).toHaveLength(1);
  });
});

describe("sockets of one client", () => {
  it("are limited: with replacing, the oldest one is closed with 4409", () => {
    const bench = sessionBench({ maxSocketsPerClient: 2, replaceOldest: true });
    const sockets = ["ada", "ada", "bob", "ada"].map((subject) => bench.connectAs(subject).socket);
    expect(sockets.map(({ ended }) => ended?.code)).toEqual([4409, undefined, undefined, undefined]);
    expect(bench.registry.size).toBe(3);
    expect(bench.registry.subjectFull("ada")).toBe(false);
  });

  it("are limited: without replacing, the registry reports the subject as full", () => {
    const bench = sessionBench({ maxSocketsPerClient: 2 });
    const [first] = [bench.connectAs("ada"), bench.connectAs("ada"), bench.connectAs("bob")];
    expect(["ada", "bob", "eve"].map((name) => bench.registry.subjectFull(name))).toEqual([
      true,
      false,
      false,
    ]);
    first?.socket.vanish();
    expect(bench.registry.subjectFull("ada")).toBe(false);
  });

  it.each([
    [false, [undefined, undefined, 1013]],
    [true, [4409, undefined, undefined]],
  ])(
    "are limited when an anonymous session is resumed repeatedly (replacing: %j)",
    async (replaceOldest, codes) => {
      const bench = sessionBench({ maxSocketsPerClient: 2, replaceOldest });
      const first = bench.connect();
      const { secret } = first;
      const others = [bench.connect(), bench.connect()];
      for (const other of others) await other.send({ type: "resume", session: secret });
      expect([first, ...others].map(({ socket }) => socket.ended?.code)).toEqual(codes);
      if (!replaceOldest) expect(others[1]?.socket.ended?.reason).toBe('{"retry_after_ms":5000}');
      for (const { socket } of [first, ...others]) socket.vanish();
      await bench.clock.pass(1_000_000);
      // The refused socket has detached from the session too.
      expect(bench.sessions.size).toBe(0);
    },
  );
});

describe("refusals of a conversation", () => {
  it("are counted by limit", async () => {
    const bench = sessionBench();
    const client = bench.connectAs("ada");
    // Three messages may wait in a conversation, and two conversations may have running answers.
    for (let index = 0; index < 5; index++) await client.send({ message: "Hi", conversation: "a" });
    await client.send({ message: "Hi", conversation: "b" });
    await client.send({ message: "Hi", conversation: "c" });
    client.session.onTooBig(100_000);
    expect(bench.metrics.hits).toEqual(["pending_messages", "active_answers", "frame_bytes"]);
  });
});
