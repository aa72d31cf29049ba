import { describe, expect, it } from "vitest";
import { newest } from "../../../../src/session/delivery/history-replies.ts";
import { sessionBench } from "../../../support/session-bench.ts";
import { settle } from "../../../support/virtual-clock.ts";

const answering = () => sessionBench({ script: (call) => call.answer("text") });

describe("a history frame", () => {
  it("returns the turns of the socket's own conversation, or of a named one", async () => {
    const { connect } = answering();
    const client = connect();
    await client.send({ message: "one" });
    await client.send({ message: "two", conversation: "named" });
    await client.send({ message: "three" });
    client.take();
    await client.send({ type: "history" });
    await client.send({ type: "history", conversation: "named" });
    await client.send({ type: "history", conversation: "new" });
    const turn = (content: string) => [
      { role: "user", content },
      { role: "assistant", content: "text" },
    ];
    expect(client.take()).toEqual([
      {
        type: "history",
        conversation: expect.any(String) as string,
        turns: [...turn("one"), ...turn("three")],
        running: [],
      },
      { type: "history", conversation: "named", turns: turn("two"), running: [] },
      { type: "history", conversation: "new", turns: [], running: [] },
    ]);
  });

  it("returns running and queued answers with their lengths, so that another socket can resume them", async () => {
    const { connectAs, provider } = sessionBench();
    const first = connectAs("ada", 3600, true);
    await first.send({ message: "one", id: "i", conversation: "c" });
    await first.send({ message: "two", id: "j", conversation: "c" });
    await first.send({ message: "elsewhere", conversation: "d" });
    provider.calls[0]?.start().say("€uro");
    await settle();
    const second = connectAs("ada", 3600, true);
    second.take();
    await second.send({ type: "history", conversation: "c" });
    const [reply] = second.take();
    const answer = first.socket.framesOf("token")[0]?.["answer"];
    expect(reply).toMatchObject({
      turns: [],
      running: [
        { answer, id: "i", length: 6 },
        { answer: expect.any(String) as string, id: "j", length: 0 },
      ],
    });
  });

  it("returns nothing of the conversation of another client", async () => {
    const { connectAs } = answering();
    const [ada, bob] = [connectAs("ada"), connectAs("bob")];
    await ada.send({ message: "secret", conversation: "c" });
    bob.take();
    await bob.send({ type: "history", conversation: "c" });
    expect(bob.take()).toMatchObject([{ type: "history", turns: [], running: [] }]);
  });

  it("reads the store only after a blocked socket has drained", async () => {
    const { connect, store } = answering();
    const client = connect();
    await client.send({ message: "one", conversation: "c" });
    client.socket.onSend = () => "queued";
    await client.send({ type: "ping" });
    client.take();
    await client.send({ type: "history", conversation: "c" });
    await store.clear(client.session.owner.client, "c");
    client.socket.onSend = () => "sent";
    client.drain();
    await settle();
    expect(client.take()).toMatchObject([{ type: "history", turns: [] }]);
    expect(client.socket.breaches).toEqual([]);
  });

  it("is refused with `busy` while four wait, which are answered after the drain", async () => {
    const { connect } = answering();
    const client = connect();
    client.socket.onSend = () => "queued";
    await client.send({ type: "ping" });
    client.take();
    for (let index = 0; index < 6; index++) await client.send({ type: "history", conversation: `c${index}` });
    client.socket.onSend = () => "sent";
    client.drain();
    await settle();
    const frames = client.take();
    expect(frames.filter(({ code }) => code === "busy")).toHaveLength(2);
    expect(frames.filter(({ type }) => type === "history").map(({ conversation }) => conversation)).toEqual([
      "c0",
      "c1",
      "c2",
      "c3",
    ]);
  });

  it("reports a failure of the store, and the next frame is answered", async () => {
    const { connect, store } = answering();
    const client = connect();
    const turns = store.turns.bind(store);
    store.turns = () => Promise.reject(new Error("down"));
    client.take();
    await client.send({ type: "history" });
    expect(client.take()).toMatchObject([{ type: "error", code: "internal" }]);
    store.turns = turns;
    await client.send({ type: "history" });
    expect(client.take()).toMatchObject([{ type: "history" }]);
  });

  describe("that is requested again and again", () => {
    /** A client with a history of 10,000 bytes that JSON encodes as 60,000. */
    const escaped = async (replayBytesPerSecond?: number) => {
      const bench = sessionBench({
        script: (call) => call.answer("\u0001".repeat(10_000)),
        ...(replayBytesPerSecond !== undefined && { replayBytesPerSecond }),
      });
      const client = bench.connect();
      await client.send({ message: "Hi", conversation: "c" });
      client.take();
      // Until the sweep of histories is the only timer left.
      await bench.clock.pass(130_000);
      const timers = bench.clock.pending;
      const ask = () => client.send({ type: "history", conversation: "c" });
      return { ...bench, client, ask, timers };
    };

    it("is limited to the replay rate by the bytes that are sent, one frame for each request", async () => {
      const { client, clock, ask } = await escaped(20_000);
      for (let round = 0; round < 20; round++) {
        for (let index = 0; index < 4; index++) await ask();
        await clock.pass(1000);
      }
      const bytes = client.socket.texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
      const histories = client.socket.framesOf("history");
      expect(histories.length).toBeGreaterThanOrEqual(5);
      // The burst, 20 seconds, one reply that was started within the budget, and the refusals.
      expect(bytes).toBeLessThan(20_000 + 20 * 20_000 + 60_000 + 20_000);
      for (const { turns } of histories) expect(turns).toHaveLength(2);
    });

    it("is given up with a reason that names the limit", async () => {
      const { client, clock, ask, metrics } = await escaped(2000);
      await ask();
      await ask();
      expect(client.take()).toMatchObject([{ type: "history" }]);
      await clock.pass(15_000);
      expect(client.take()).toMatchObject([
        { code: "rate_limited", retryable: true, message: expect.stringContaining("again") as string },
      ]);
      expect(metrics.hits).toContain("replay_rate");
      // The debt of the first reply is 60,000 bytes.
      await clock.pass(20_000);
      await ask();
      expect(client.take()).toMatchObject([{ type: "history" }]);
    });

    it("does not delay the history of another address", async () => {
      const { connect, ask } = await escaped(2000);
      await ask();
      await ask();
      const other = connect({ address: "192.0.2.1" });
      other.take();
      await other.send({ type: "history" });
      expect(other.take()).toMatchObject([{ type: "history" }]);
    });

    it("is given up for a reader that does not read, and the socket is closed if it read nothing of one", async () => {
      const { client, clock, ask, timers } = await escaped();
      client.socket.onSend = () => "queued";
      for (let index = 0; index < 3; index++) await ask();
      expect(client.take()).toHaveLength(1);
      await clock.pass(14_999);
      expect(client.socket.ended).toBeNull();
      await clock.pass(2);
      expect(client.socket.ended).toMatchObject({ code: 1008 });
      expect(client.socket.breaches).toEqual([]);
      // The session itself expires after a minute.
      await clock.pass(61_000);
      expect(clock.pending).toBe(timers);
    });

    it("is given up while a socket is blocked by other frames, which it then gets after the drain", async () => {
      const { client, clock, ask } = await escaped();
      client.socket.onSend = () => "queued";
      await client.send({ type: "ping" });
      for (let index = 0; index < 3; index++) await ask();
      await clock.pass(15_000);
      client.socket.onSend = () => "sent";
      client.take();
      client.drain();
      await settle();
      expect(client.take().map(({ type, code }) => code ?? type)).toEqual(["busy", "busy", "busy"]);
      await ask();
      expect(client.take()).toMatchObject([{ type: "history" }]);
    });

    it("keeps a socket that reads slowly", async () => {
      const { client, clock, ask, timers } = await escaped();
      client.socket.onSend = () => "queued";
      await ask();
      for (let round = 0; round < 4; round++) {
        await clock.pass(10_000);
        client.socket.read(10_000);
      }
      expect(client.socket.ended).toBeNull();
      client.drain();
      await clock.pass(60_000);
      expect(client.socket.ended).toBeNull();
      expect(clock.pending).toBe(timers);
    });

    it("keeps a socket that has read the history and is blocked by text of an answer later", async () => {
      const { connectAs, clock, provider } = sessionBench();
      const client = connectAs("ada", 3600, true);
      await client.send({ message: "Hi", conversation: "c" });
      client.socket.onSend = () => "queued";
      await client.send({ type: "history", conversation: "c" });
      expect(client.socket.framesOf("history")).toHaveLength(1);
      const call = provider.calls[0]?.start();
      // Text arrives faster than it is read, so that each drain is followed by a frame that is larger than the history.
      for (let second = 0; second < 30; second++) {
        call?.say("x".repeat(1000));
        client.drain();
        await settle();
        expect(client.socket.bufferedBytes()).toBeGreaterThan(0);
        await clock.pass(1000);
      }
      expect(client.socket.ended).toBeNull();
      expect(client.socket.breaches).toEqual([]);
    });

    it("waits while half of the memory for unsent bytes is in use, and is refused after a time", async () => {
      const { client, clock, ask, buffers } = await escaped();
      const holder = { address: "192.0.2.1", closeToFreeMemory() {} };
      buffers.set(holder, 600_000);
      await ask();
      await clock.pass(5000);
      expect(client.take()).toEqual([]);
      buffers.set(holder, 400_000);
      await clock.pass(100);
      expect(client.take()).toMatchObject([{ type: "history" }]);
      buffers.set(holder, 600_000);
      await ask();
      await clock.pass(15_000);
      expect(client.take()).toMatchObject([{ code: "overloaded", retryable: true }]);
    });

    it("leaves no timer when its socket has closed before the request was handled", async () => {
      const timersAfter = async (frames: readonly object[]): Promise<number> => {
        const { connect, clock } = sessionBench();
        const client = connect();
        for (const frame of frames) client.sendNow(frame);
        client.socket.vanish();
        await settle();
        return clock.pending;
      };
      const help = { message: "/help", id: "i" };
      expect(await timersAfter([help, { type: "history" }])).toBe(await timersAfter([help]));
    });

    it("leaves no timer when its socket closes", async () => {
      const { client, clock, ask, timers } = await escaped(2000);
      for (let index = 0; index < 4; index++) await ask();
      expect(clock.pending).toBeGreaterThan(timers);
      client.socket.vanish();
      await clock.pass(61_000);
      expect(clock.pending).toBe(timers);
    });
  });

  it.each([
    [{ limit: 0 }, "Field `limit` must be >= 1."],
    [{ limit: 1001 }, "Field `limit` must be <= 1000."],
    [{ conversation: "a b" }, "Field `conversation` must be 1 to 64 characters of A-Z, a-z, 0-9, _ and -."],
  ])("is refused with the reason if a field is invalid: %j", async (fields, message) => {
    const { connect } = answering();
    const client = connect();
    await client.send({ type: "history", ...fields });
    expect(client.socket.frames.at(-1)).toMatchObject({ code: "bad_frame", message });
  });
});

describe("the turns of a history frame", () => {
  const turns = ["a", "b", "c"].flatMap((name) => [
    { role: "user", content: `${name}?` } as const,
    { role: "assistant", content: `${name}!` } as const,
  ]);
  const shown = (limit: number, bytes: number) => newest(turns, limit, bytes).map(({ content }) => content);

  it("are the newest complete exchanges within both limits", () => {
    expect(shown(100, 1000)).toHaveLength(6);
    expect(shown(4, 1000)).toEqual(["b?", "b!", "c?", "c!"]);
    expect(shown(3, 1000)).toEqual(["c?", "c!"]);
    expect(shown(100, 9)).toEqual(["b?", "b!", "c?", "c!"]);
    expect(shown(100, 7)).toEqual(["c?", "c!"]);
    expect(shown(100, 3)).toEqual([]);
  });
});
