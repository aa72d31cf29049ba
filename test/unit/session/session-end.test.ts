import { describe, expect, it } from "vitest";
import { sessionBench } from "../../support/session-bench.ts";
import { settle } from "../../support/virtual-clock.ts";

describe("an expired token", () => {
  it("closes its socket with 4408 within two seconds, while the answer runs on until it is abandoned", async () => {
    const bench = sessionBench();
    const client = bench.connectAs("ada", 60);
    await client.send({ message: "Hi", conversation: "c" });
    bench.provider.call.start().say("so far");
    await bench.clock.pass(59_900);
    expect(client.socket.ended).toBeNull();
    await bench.clock.pass(2100);
    expect(client.socket.ended).toEqual({ code: 4408, reason: "the token expired" });
    expect(bench.registry.size).toBe(0);
    expect(bench.metrics.read("answers_running")).toBe(1);
    await bench.clock.pass(15_000);
    expect(bench.metrics.finished).toEqual(["local abandoned"]);
  });

  it("leaves no timer if its socket has already closed", async () => {
    const bench = sessionBench();
    bench.connectAs("ada", 60).socket.vanish();
    await bench.clock.pass(200_000);
    expect(bench.clock.pending).toBeLessThanOrEqual(1);
  });
});

describe("a drain", () => {
  it("closes idle sockets with 1012 at once and busy ones at the end of their answers", async () => {
    const bench = sessionBench();
    const [idle, busy, waits] = [bench.connect(), bench.connect({ streaming: true }), bench.connect()];
    await busy.send({ message: "1" });
    await waits.send({ message: "1" });
    await waits.send({ message: "2" });
    bench.chat.stopAccepting();
    bench.registry.drain(10_000);
    bench.registry.drain(10_000);
    let empty = false;
    const whenEmpty = bench.registry.whenEmpty().then(() => (empty = true));
    expect(idle.socket.ended).toEqual({ code: 1012, reason: "the server is shutting down" });
    expect(busy.socket.ended).toBeNull();
    expect(busy.socket.frames.at(-1)).toEqual({
      type: "goaway",
      reason: "restart",
      deadline_ms: 10_000,
      resumable: false,
    });
    expect(waits.socket.frames.at(-1)).toMatchObject({ type: "system", event: "draining" });
    expect(busy.socket.framesOf("goaway")).toHaveLength(1);
    await busy.send({ message: "late" });
    expect(busy.socket.frames.at(-1)).toMatchObject({ type: "error", code: "draining", retryable: true });
    expect(busy.socket.ended).toBeNull();
    bench.provider.calls[0]?.answer("a");
    await settle();
    expect(busy.socket.types.slice(-2)).toEqual(["token", "message"]);
    expect(busy.socket.ended?.code).toBe(1012);
    bench.provider.calls[1]?.answer("b");
    await settle();
    expect(waits.socket.ended).toBeNull();
    expect(empty).toBe(false);
    bench.provider.call.answer("c");
    await whenEmpty;
    expect(waits.socket.framesOf("message")).toHaveLength(2);
    expect(waits.socket.ended?.code).toBe(1012);
  });

  it("closes many idle sockets in random order over its duration, each after a notice", async () => {
    const bench = sessionBench();
    const clients = Array.from({ length: 3000 }, () => bench.connect());
    bench.registry.drain(10_000);
    const left = () => clients.filter(({ socket }) => socket.ended === null);
    expect(clients.every(({ socket }) => socket.framesOf("system").at(-1)?.["event"] === "draining")).toBe(
      true,
    );
    await bench.clock.pass(5000);
    expect(left().length).toBeGreaterThan(1350);
    expect(left().length).toBeLessThan(1650);
    // The order is not that of the connections: part of the first half is still open.
    expect(clients.slice(0, 1500).filter(({ socket }) => socket.ended === null).length).toBeGreaterThan(500);
    // A socket that is still open can send frames, which do not close it early.
    const [patient] = left();
    await patient?.send({ type: "cancel", answer: "none" });
    expect(patient?.socket.frames.at(-1)).toMatchObject({ code: "unknown_answer" });
    await bench.clock.pass(5000);
    expect(left()).toEqual([]);
    expect(clients.every(({ socket }) => socket.ended?.code === 1012)).toBe(true);
    expect(bench.registry.size).toBe(0);
  });

  it("waits until a slow reader has received its final frame", async () => {
    const bench = sessionBench();
    const client = bench.connect({ streaming: true });
    await client.send({ message: "1" });
    client.socket.onSend = () => "queued";
    bench.provider.call.start().say("a", "b").finish();
    await settle();
    bench.registry.drain(10_000);
    expect(client.socket.ended).toBeNull();
    client.drain();
    expect(client.socket.ended).toBeNull();
    client.socket.onSend = () => "sent";
    client.drain();
    expect(client.socket.types.at(-1)).toBe("message");
    expect(client.socket.ended?.code).toBe(1012);
    expect(client.socket.breaches).toEqual([]);
  });

  it("closes a socket whose frame is being handled after the reply to that frame", async () => {
    const bench = sessionBench();
    const client = bench.connect();
    client.sendNow({ message: "/hlep", id: "i" });
    bench.registry.drain(10_000);
    expect(client.socket.ended).toBeNull();
    await settle();
    expect(client.socket.frames.map(({ code }) => code)).toContain("unknown_command");
    expect(client.socket.ended?.code).toBe(1012);
  });

  it("closes all remaining sockets at its deadline", async () => {
    const bench = sessionBench();
    const clients = [bench.connect(), bench.connectAs("ada")];
    for (const client of clients) await client.send({ message: "1" });
    bench.registry.closeAll();
    for (const { socket } of clients) expect(socket.ended?.code).toBe(1012);
    expect(bench.registry.size).toBe(0);
    await expect(bench.registry.whenEmpty()).resolves.toBeUndefined();
  });
});

describe("a closed socket", () => {
  it("receives no more text, and its answers are abandoned after ABANDON_SECONDS", async () => {
    const bench = sessionBench();
    const client = bench.connect({ streaming: true });
    await client.send({ message: "1" });
    bench.provider.call.start().say("a");
    await settle();
    const frames = client.socket.texts.length;
    client.socket.vanish();
    bench.provider.call.say("b");
    await bench.clock.pass(14_999);
    expect(bench.metrics.read("answers_running")).toBe(1);
    await bench.clock.pass(1);
    expect(bench.metrics.read("answers_running")).toBe(0);
    expect(client.socket.texts).toHaveLength(frames);
  });

  it("does not stop a message that was sent before it closed, whose answer a later socket can join", async () => {
    const bench = sessionBench();
    const frame = { message: "Hi", id: "i", conversation: "c" };
    const client = bench.connectAs("ada");
    client.sendNow(frame);
    client.socket.vanish();
    await settle();
    const again = bench.connectAs("ada");
    await again.send(frame);
    await bench.clock.pass(20_000);
    bench.provider.call.answer("text");
    await settle();
    expect(again.socket.frames.at(-1)).toMatchObject({ type: "message", content: "text" });
    expect(bench.provider.calls).toHaveLength(1);
  });

  it("releases its session, answers, history and message ids", async () => {
    const bench = sessionBench({ script: (call) => call.answer("text") });
    const clients = [bench.connect(), bench.connectAs("ada"), bench.connect({ streaming: true })];
    for (const client of clients) {
      await client.send({ message: "/setcontext text=x" });
      await client.send({ message: "Hi", id: "i" });
      client.socket.vanish();
    }
    await bench.clock.pass(1_000_000);
    expect(bench.registry.size).toBe(0);
    expect([bench.sessions.size, bench.log.size, bench.log.bytes, bench.store.claims]).toEqual([0, 0, 0, 0]);
    expect(bench.store.historyBytes).toBe(0);
    // The context of a subject is kept until it is cleared.
    expect(await bench.store.context("sub:ada")).toBe("x");
  });
});

describe("isolation of clients", () => {
  it("keeps history, context and answers of each client separate", async () => {
    const bench = sessionBench({ script: (call) => call.answer("text") });
    const clients = [bench.connect(), bench.connect(), bench.connectAs("ada"), bench.connectAs("bob")];
    for (const [index, client] of clients.entries()) {
      await client.send({ message: `/setcontext text=context${index}` });
      await client.send({ message: `message${index}`, id: "same", conversation: "same" });
    }
    for (const [index, client] of clients.entries()) {
      const before = bench.provider.calls.length;
      await client.send({ message: "again", conversation: "same" });
      expect(bench.provider.calls).toHaveLength(before + 1);
      const { context, turns, conversation } = bench.provider.call.request;
      expect(context).toBe(`context${index}`);
      expect(turns.map(({ content }) => content)).toEqual([`message${index}`, "text", "again"]);
      const others = bench.provider.calls.filter((call) => call.request.conversation === conversation);
      expect(others).toHaveLength(2);
    }
  });

  it("shares answers between two sockets of one subject, except in their unnamed conversations", async () => {
    const bench = sessionBench();
    const [first, second] = [bench.connectAs("ada"), bench.connectAs("ada")];
    const frame = { message: "Hi", id: "i", conversation: "c" };
    for (let index = 0; index < 50; index++) {
      first.sendNow(frame);
      second.sendNow(frame);
    }
    await settle();
    expect(bench.provider.calls).toHaveLength(1);
    bench.provider.call.answer("text");
    await settle();
    const [a, b] = [first, second].map(({ socket }) => socket.framesOf("message"));
    expect(a).toHaveLength(1);
    expect(b).toEqual(a);
    await first.send({ message: "own" });
    await second.send({ message: "own" });
    expect(bench.provider.calls).toHaveLength(3);
  });
});
