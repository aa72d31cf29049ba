import { describe, expect, it } from "vitest";
import { sessionBench, type SessionBench, type TestClient } from "../../support/session-bench.ts";
import { settle } from "../../support/virtual-clock.ts";

const RETENTION_MS = 60_000;
const answering = () => sessionBench({ script: (call) => call.answer("text") });

async function contextOf(client: TestClient): Promise<unknown> {
  await client.send({ message: "/getcontext" });
  const result = client.socket.frames.at(-1)?.["result"] as Record<string, unknown> | undefined;
  expect(result?.["status"]).toBe("success");
  return result?.["context"];
}

function expectExpired(client: TestClient): void {
  expect(client.socket.frames.at(-1)).toEqual({
    type: "error",
    code: "resume_expired",
    message: "This session is unknown or has expired; the connection continues with a new one.",
    retryable: false,
  });
}

async function resume({ connect }: SessionBench, secret: string, address = "addr"): Promise<TestClient> {
  const client = connect({ address });
  await client.send({ type: "resume", session: secret });
  return client;
}

describe("resume", () => {
  it("restores the identity, context and own conversation of an anonymous client", async () => {
    const bench = answering();
    const first = bench.connect();
    const name = first.socket.frames[0]?.["client"];
    await first.send({ message: "/setcontext text=mine" });
    await first.send({ message: "Hi" });
    first.socket.vanish();
    await bench.clock.pass(RETENTION_MS - 2000);
    const second = await resume(bench, first.secret, "elsewhere");
    expect(second.socket.frames.at(-1)).toEqual({
      type: "system",
      event: "resumed",
      message: expect.any(String) as string,
      session: first.secret,
      client: name,
    });
    expect(await contextOf(second)).toBe("mine");
    await second.send({ message: "and?" });
    expect(bench.provider.call.request.turns.map(({ content }) => content)).toEqual(["Hi", "text", "and?"]);
  });

  it("reports each time that the context was dropped meanwhile, until the client sets one again", async () => {
    const bench = sessionBench({
      script: (call) => call.answer("text"),
      anonymousContextBudgetBytes: 8000,
    });
    const first = bench.connect({ address: "198.51.100.100" });
    const present = bench.connect({ address: "198.51.100.101" });
    await first.send({ message: `/setcontext text="${"mine ".repeat(100)}"` });
    await present.send({ message: "/setcontext text=mine" });
    const { secret } = first;
    first.socket.vanish();
    for (let index = 0; index < 60; index++) {
      const flood = bench.connect({ address: `198.51.100.${index}` });
      await flood.send({ message: "/setcontext text=flood" });
      flood.socket.vanish();
    }
    expect(await contextOf(present)).toBe("mine");
    for (let round = 0; round < 2; round++) {
      const back = await resume(bench, secret);
      expect(back.socket.frames.slice(1)).toMatchObject([
        { event: "resumed", message: "Welcome back: your conversation is restored." },
        {
          type: "system",
          event: "context_dropped",
          message: expect.stringContaining("/setcontext") as string,
        },
      ]);
      expect(await contextOf(back)).toBeNull();
      back.socket.vanish();
    }
    const back = await resume(bench, secret);
    await back.send({ message: "/setcontext text=again" });
    back.socket.vanish();
    const last = await resume(bench, secret);
    expect(last.socket.frames.slice(1)).toMatchObject([{ event: "resumed" }]);
    expect(await contextOf(last)).toBe("again");
  });

  it("reports at once when a context is dropped that was over the share of its address at the return", async () => {
    const bench = sessionBench({
      script: (call) => call.answer("text"),
      anonymousContextBudgetBytes: 8000,
    });
    const context = `/setcontext text="${"mine ".repeat(100)}"`;
    const first = bench.connect({ address: "198.51.100.1" });
    await first.send({ message: context });
    first.socket.vanish();
    const neighbour = bench.connect({ address: "198.51.100.1" });
    await neighbour.send({ message: context });
    const back = await resume(bench, first.secret, "198.51.100.1");
    expect(await contextOf(back)).toContain("mine");
    back.take();
    for (let index = 0; index < 20; index++) {
      const other = bench.connect({ address: `203.0.${index}.1` });
      await other.send({ message: context });
      other.socket.vanish();
    }
    expect(back.take()).toMatchObject([{ type: "system", event: "context_dropped" }]);
    expect(await contextOf(back)).toBeNull();
    expect(neighbour.socket.framesOf("system")).toHaveLength(1);
    expect(await contextOf(neighbour)).toContain("mine");
  });

  it("works repeatedly with the same secret", async () => {
    const bench = answering();
    let client = bench.connect();
    const { secret } = client;
    await client.send({ message: "/setcontext text=mine" });
    for (let round = 0; round < 4; round++) {
      client.socket.vanish();
      await bench.clock.pass(RETENTION_MS / 2);
      client = await resume(bench, secret);
      expect(await contextOf(client)).toBe("mine");
    }
    client.socket.vanish();
    await bench.clock.pass(RETENTION_MS + 2000);
    expectExpired(await resume(bench, secret));
    expect(bench.store.contextBytes).toBe(0);
  });

  it("drops the session that the connection began with", async () => {
    const bench = answering();
    const first = bench.connect();
    const second = bench.connect();
    const freshSecret = second.secret;
    const before = bench.sessions.size;
    await second.send({ type: "resume", session: first.secret });
    expect(bench.sessions.size).toBe(before - 1);
    expectExpired(await resume(bench, freshSecret));
  });

  it("is refused after any earlier frame, valid or not", async () => {
    const bench = answering();
    const { secret } = bench.connect();
    for (const before of [{ type: "ping" }, "{", { message: "Hi" }, { type: "resume", session: "unknown" }]) {
      const late = bench.connect();
      await late.send(before);
      await late.send({ type: "resume", session: secret });
      expect(late.socket.frames.at(-1)).toMatchObject({
        type: "error",
        code: "resume_late",
        retryable: false,
      });
    }
  });

  it.each(["unknown", "", "x".repeat(64), "\u0000"])(
    "is refused for an unknown session, and the connection continues: %j",
    async (secret) => {
      const bench = answering();
      const client = bench.connect();
      await client.send({ type: "resume", session: secret });
      const { code } = client.socket.frames.at(-1) ?? {};
      expect(code).toBe(secret === "" ? "bad_frame" : "resume_expired");
      await client.send({ message: "Hi" });
      expect(client.socket.frames.at(-1)).toMatchObject({ type: "message" });
    },
  );

  it("is refused in the same way for an expired session and for one of another client", async () => {
    const bench = answering();
    const gone = bench.connect();
    await gone.send({ message: "/setcontext text=gone" });
    gone.socket.vanish();
    await bench.clock.pass(RETENTION_MS + 2000);
    const ada = bench.connectAs("ada");
    const anonymous = bench.connect();
    await anonymous.send({ message: "/setcontext text=secret" });

    const tries: [TestClient, string][] = [
      [bench.connect(), gone.secret],
      [bench.connect(), ada.secret],
      [bench.connectAs("bob"), ada.secret],
      [bench.connectAs("bob"), anonymous.secret],
      [bench.connectAs("ada"), anonymous.secret],
    ];
    for (const [client, secret] of tries) {
      await client.send({ type: "resume", session: secret });
      expectExpired(client);
      expect(await contextOf(client)).toBeNull();
    }
    expect(await contextOf(anonymous)).toBe("secret");
  });

  it("restores the own conversation of a subject, which has its context and named conversations anyway", async () => {
    const bench = answering();
    const first = bench.connectAs("ada");
    await first.send({ message: "own" });
    await first.send({ message: "named", conversation: "work" });
    await first.send({ message: "/setcontext text=mine" });
    first.socket.vanish();
    const second = bench.connectAs("ada");
    await second.send({ message: "fresh" });
    expect(bench.provider.call.request).toMatchObject({ context: "mine", turns: [{ content: "fresh" }] });
    const third = bench.connectAs("ada");
    await third.send({ type: "resume", session: first.secret });
    await third.send({ message: "again" });
    expect(bench.provider.call.request.turns[0]?.content).toBe("own");
    await third.send({ message: "more", conversation: "work" });
    expect(bench.provider.call.request.turns[0]?.content).toBe("named");
  });

  it("allows two sockets on one session, which is kept until both have closed", async () => {
    const bench = answering();
    const first = bench.connect();
    const second = await resume(bench, first.secret);
    await first.send({ message: "from the first" });
    await second.send({ message: "from the second" });
    expect(bench.provider.call.request.turns[0]?.content).toBe("from the first");
    // Each socket receives the answers to its own messages.
    expect([first, second].map(({ socket }) => socket.framesOf("message").length)).toEqual([1, 1]);
    first.socket.vanish();
    await bench.clock.pass(2 * RETENTION_MS);
    await second.send({ message: "still here" });
    expect(bench.provider.call.request.turns).toHaveLength(5);
    second.socket.vanish();
    await bench.clock.pass(RETENTION_MS + 2000);
    expect(bench.ended).toHaveLength(2);
    expectExpired(await resume(bench, first.secret));
  });

  it("of the connection's own session changes nothing and leaves nothing behind", async () => {
    const bench = answering();
    const client = bench.connect();
    await client.send({ type: "resume", session: client.secret });
    expect(client.socket.frames.at(-1)).toMatchObject({ event: "resumed", session: client.secret });
    await client.send({ message: "/setcontext text=mine" });
    const { secret } = client;
    client.socket.vanish();
    const again = await resume(bench, secret);
    expect(await contextOf(again)).toBe("mine");
    again.socket.vanish();
    await bench.clock.pass(RETENTION_MS + 2000);
    expect(bench.store.contextBytes).toBe(0);
    expect(bench.sessions.size).toBe(0);
  });

  it("leaves a session to its second socket when the first one resumes another session", async () => {
    const bench = answering();
    const old = bench.connect();
    const first = bench.connect();
    const second = await resume(bench, first.secret);
    await second.send({ message: "/setcontext text=mine" });
    await first.send({ type: "resume", session: old.secret });
    expect(await contextOf(second)).toBe("mine");
    expect(await contextOf(first)).toBeNull();
    for (const client of [old, first, second]) client.socket.vanish();
    await bench.clock.pass(RETENTION_MS + 2000);
    expect([bench.sessions.size, bench.store.contextBytes]).toEqual([0, 0]);
  });

  it("delays the frames after it, so that they are handled as the resumed client", async () => {
    const bench = answering();
    const first = bench.connect();
    await first.send({ message: "/setcontext text=mine" });
    await first.send({ message: "before" });
    const second = bench.connect();
    second.sendNow({ type: "resume", session: first.secret });
    second.sendNow({ message: "behind" });
    second.sendNow({ message: "/getcontext" });
    second.sendNow({ type: "cancel", answer: "unknown" });
    await settle();
    expect(bench.provider.call.request).toMatchObject({
      context: "mine",
      turns: [{ content: "before" }, { content: "text" }, { content: "behind" }],
    });
    // No answer precedes the `resumed` frame.
    expect(second.socket.types.slice(0, 2)).toEqual(["system", "system"]);
    expect(second.socket.framesOf("command_response")[0]).toMatchObject({ result: { context: "mine" } });
  });

  it("leaves the session unchanged if its socket closes meanwhile", async () => {
    const bench = answering();
    const first = bench.connect();
    first.socket.vanish();
    const second = bench.connect();
    second.sendNow({ type: "resume", session: first.secret });
    second.socket.vanish();
    await settle();
    await bench.clock.pass(RETENTION_MS - 1000);
    const third = await resume(bench, first.secret);
    expect(third.socket.frames.at(-1)).toMatchObject({ event: "resumed" });
    third.socket.vanish();
    await bench.clock.pass(RETENTION_MS + 2000);
    expect(bench.sessions.size).toBe(0);
  });
});
