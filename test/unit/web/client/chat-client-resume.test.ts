import { describe, expect, it } from "vitest";
import {
  connect,
  connected,
  ofType,
  resumedFrame,
  textOf,
  tokenFrame,
  waitForAttempt,
  welcomeFrame,
  type FakeWorld,
} from "./fake-environment.ts";

const expired = (answer?: string) => ({
  type: "error",
  code: "resume_expired",
  message: "",
  retryable: false,
  ...(answer !== undefined && { answer }),
});

/** Cuts the line and lets the client come back as far as its `resume`, which is returned. */
async function cutAndReturn(
  world: FakeWorld,
  client: ReturnType<typeof connected>["client"],
): Promise<Record<string, unknown>> {
  world.socket.end(1006);
  await waitForAttempt(world, client);
  world.socket.say(welcomeFrame("another"));
  expect(world.socket.sent).toHaveLength(1);
  return world.socket.sent[0] as Record<string, unknown>;
}

describe("resume in the middle of an answer", () => {
  it("names each answer and its first missing byte, and sends nothing of it again", async () => {
    const { world, client, events } = connected();
    client.send({ text: "hi", conversation: "c", id: "m1" });
    client.send({ text: "ho", conversation: "d", id: "m2" });
    world.socket.say(tokenFrame("m1", "Grüße ", 0));
    world.socket.say(tokenFrame("m2", "🙂", 0, "a2"));
    expect(await cutAndReturn(world, client)).toEqual({
      type: "resume",
      session: "secret-1",
      answers: [
        { answer: "a1", from: 8 },
        { answer: "a2", from: 4 },
      ],
    });
    world.socket.say(resumedFrame());
    expect(world.socket.sent).toHaveLength(1);
    world.socket.say(tokenFrame("m1", "aus 東京", 8));
    expect(textOf(events, "m1")).toBe("Grüße aus 東京");
    expect(ofType(events, "text").some(({ restart }) => restart)).toBe(false);
  });

  it("drops bytes that it has, when the server moves back to the start of a character", async () => {
    const { world, client, events } = connected();
    client.send({ text: "hi", conversation: "c", id: "m1" });
    world.socket.say(tokenFrame("m1", "one two", 0));
    await cutAndReturn(world, client);
    world.socket.say(resumedFrame());
    world.socket.say(tokenFrame("m1", "two three", 4));
    expect(textOf(events, "m1")).toBe("one two three");
  });

  it.each(["before", "after"])(
    "makes a new answer when the old one is gone (told %s `resumed`)",
    async (when) => {
      const { world, client, events } = connected();
      client.send({ text: "hi", conversation: "c", id: "m1" });
      world.socket.say(tokenFrame("m1", "First", 0));
      await cutAndReturn(world, client);
      if (when === "before") world.socket.say(expired("a1"));
      world.socket.say(resumedFrame());
      if (when === "after") world.socket.say(expired("a1"));
      expect(world.socket.sent.slice(1)).toEqual([
        { type: "message", message: "hi", id: "m1", conversation: "c" },
      ]);
      world.socket.say(tokenFrame("m1", "Second", 0, "a9"));
      expect(textOf(events, "m1")).toBe("Second");
      expect(ofType(events, "notice")).toEqual([]);
    },
  );

  it("sends again what it had, when the whole session is gone", async () => {
    const { world, client } = connected();
    client.send({ text: "hi", conversation: "c", id: "m1" });
    world.socket.say(tokenFrame("m1", "First", 0));
    await cutAndReturn(world, client);
    world.socket.say(expired());
    expect(world.socket.sent[1]).toMatchObject({ id: "m1", message: "hi" });
    expect(world.secret).toBe("another");
  });

  it("asks for 32 answers at most and sends the others again", async () => {
    const { world, client } = connected();
    for (let index = 0; index < 40; index++) {
      client.send({ text: "hi", conversation: `c${index}`, id: `m${index}` });
      world.socket.say(tokenFrame(`m${index}`, "x", 0, `a${index}`));
    }
    expect((await cutAndReturn(world, client))["answers"]).toHaveLength(32);
    world.socket.say(resumedFrame());
    expect(world.socket.sent.slice(1)).toHaveLength(8);
  });

  it("goes on as often as the line is cut, as long as text comes, and gives up when none does", async () => {
    const { world, client, events } = connected();
    client.send({ text: "hi", conversation: "c", id: "m1" });
    for (let round = 0; round < 20; round++) {
      world.socket.say(tokenFrame("m1", "x", round));
      await cutAndReturn(world, client);
      world.socket.say(resumedFrame());
    }
    expect(textOf(events, "m1")).toBe("x".repeat(20));
    for (let round = 0; round < 6; round++) {
      await cutAndReturn(world, client);
      world.socket.say(resumedFrame());
    }
    expect(ofType(events, "failed")[0]).toMatchObject({ id: "m1", code: "connection", retryable: true });
  });

  it("comes back soon after each cut as long as text comes, and ever later when none does", async () => {
    const { world, client } = connected();
    client.send({ text: "hi", conversation: "c", id: "m1" });
    world.random = 0.99;
    const waits: number[] = [];
    for (let round = 0; round < 8; round++) {
      if (round < 4) world.socket.say(tokenFrame("m1", "x", round));
      world.socket.end(1006);
      const { state } = client;
      waits.push(state.phase === "waiting" ? Math.round(state.retryAt - world.clock.now()) : -1);
      await waitForAttempt(world, client);
      world.socket.say(welcomeFrame("another"));
      world.socket.say(resumedFrame());
    }
    expect(waits).toEqual([495, 495, 495, 495, 990, 1980, 3960, 7920]);
  });

  it("repeats a cancel that may have been lost with the line", async () => {
    const { world, client } = connected();
    client.send({ text: "hi", conversation: "c", id: "m1" });
    world.socket.say(tokenFrame("m1", "x", 0));
    client.cancel("m1");
    await cutAndReturn(world, client);
    world.socket.say(resumedFrame());
    expect(world.socket.sent.slice(1)).toEqual([{ type: "cancel", id: "m1", conversation: "c" }]);
  });
});

describe("acks", () => {
  const acksOf = (world: FakeWorld) => world.socket.sent.filter(({ type }) => type === "ack");

  it("tell what was shown, one for all that came within 100 ms", async () => {
    const { world, client } = connected();
    client.send({ text: "hi", conversation: "c", id: "m1" });
    world.socket.say(tokenFrame("m1", "one", 0));
    world.socket.say(tokenFrame("m1", " two", 3));
    expect(acksOf(world)).toEqual([]);
    await world.clock.pass(100);
    expect(acksOf(world)).toEqual([{ type: "ack", answer: "a1", to: 7 }]);
    await world.clock.pass(5_000);
    expect(acksOf(world)).toHaveLength(1);
  });

  it("come at once with every 8 KiB, however fast the text comes", async () => {
    const { world, client } = connected();
    client.send({ text: "hi", conversation: "c", id: "m1" });
    for (let at = 0; at < 100_000; at += 1_000) world.socket.say(tokenFrame("m1", "x".repeat(1_000), at));
    await world.clock.pass(100);
    const told = acksOf(world).map(({ to }) => to as number);
    expect(told.at(-1)).toBe(100_000);
    expect(told.length).toBeLessThanOrEqual(Math.ceil(100_000 / 8_192) + 1);
    expect(told.toSorted((a, b) => a - b)).toEqual(told);
  });

  it("stop with the answer, and with the socket", async () => {
    const { world, client } = connected();
    client.send({ text: "hi", conversation: "c", id: "m1" });
    client.send({ text: "ho", conversation: "d", id: "m2" });
    world.socket.say(tokenFrame("m1", "one", 0));
    world.socket.say({ type: "message", id: "m1", answer: "a1", content: "one", finish_reason: "stop" });
    await world.clock.pass(200);
    expect(acksOf(world)).toEqual([]);
    world.socket.say(tokenFrame("m2", "two", 0, "a2"));
    const first = world.socket;
    await cutAndReturn(world, client);
    await world.clock.pass(200);
    expect(first.sent.filter(({ type }) => type === "ack")).toEqual([]);
    expect(acksOf(world)).toEqual([]);
  });
});

describe("goaway", () => {
  const goaway = (resumable: boolean) => ({
    type: "goaway",
    reason: "restart",
    deadline_ms: 10_000,
    resumable,
  });

  it("lets the answer end here, holds new messages back, and comes back with them after 1012", async () => {
    const { world, client, events } = connected();
    client.send({ text: "hi", conversation: "c", id: "m1" });
    world.socket.say(tokenFrame("m1", "one", 0));
    world.socket.say(goaway(false));
    expect(client.state).toMatchObject({ phase: "open", leaving: true });
    client.send({ text: "later", conversation: "c", id: "m2" });
    await world.clock.pass(9_000);
    expect(world.sockets).toHaveLength(1);
    world.socket.say({ type: "message", id: "m1", answer: "a1", content: "one", finish_reason: "stop" });
    expect(ofType(events, "answer")).toHaveLength(1);
    expect(world.socket.sent.some(({ id }) => id === "m2")).toBe(false);
    world.random = 0.9;
    world.socket.end(1012);
    expect(client.state).toMatchObject({ phase: "waiting", retryAt: world.clock.now() + 900 });
    await world.clock.pass(900);
    world.socket.say(welcomeFrame("x"));
    world.socket.say(resumedFrame());
    expect(world.socket.sent[1]).toMatchObject({ id: "m2", message: "later" });
    expect(client.state).toMatchObject({ phase: "open", leaving: false });
  });

  it("asks the next server again for an answer that this one cuts short", async () => {
    const { world, client, events } = connected();
    client.send({ text: "hi", conversation: "c", id: "m1" });
    world.socket.say(tokenFrame("m1", "one", 0));
    world.socket.say(goaway(false));
    const end = { type: "message", id: "m1", answer: "a1", content: "one", finish_reason: "cancelled" };
    world.socket.say(end);
    expect(ofType(events, "answer")).toHaveLength(0);
    world.random = 0;
    world.socket.end(1012);
    await world.clock.pass(1_000);
    world.socket.say(welcomeFrame("x"));
    world.socket.say({ type: "error", code: "resume_expired", message: "unknown", retryable: false });
    expect(world.socket.sent.at(-1)).toMatchObject({ id: "m1", message: "hi" });
  });

  it("takes a stop of its own for the end while the server leaves", () => {
    const { world, client, events } = connected();
    client.send({ text: "hi", conversation: "c", id: "m1" });
    world.socket.say(goaway(false));
    client.cancel("m1");
    world.socket.say({
      type: "message",
      id: "m1",
      answer: "a1",
      content: "",
      finish_reason: "cancelled",
    });
    expect(ofType(events, "answer")).toHaveLength(1);
  });

  it("still takes a cancel to the server", () => {
    const { world, client } = connected();
    client.send({ text: "hi", conversation: "c", id: "m1" });
    world.socket.say(goaway(false));
    client.cancel("m1");
    expect(world.socket.sent.at(-1)).toEqual({ type: "cancel", id: "m1", conversation: "c" });
  });

  it("moves to another server in mid-answer where that can resume, at a random time before the end", async () => {
    const { world, client } = connected();
    client.send({ text: "hi", conversation: "c", id: "m1" });
    world.socket.say(tokenFrame("m1", "one", 0));
    world.random = 0.5;
    world.socket.say(goaway(true));
    await world.clock.pass(2_499);
    expect(world.sockets).toHaveLength(1);
    await world.clock.pass(1);
    expect(world.sockets).toHaveLength(2);
    world.socket.say(welcomeFrame("x"));
    expect(world.socket.sent[0]).toMatchObject({ type: "resume", answers: [{ answer: "a1", from: 3 }] });
  });
});

describe("a page that was loaded anew", () => {
  const history = (running: object[] = []) => ({ type: "history", conversation: "c", turns: [], running });

  function reloaded() {
    const all = connect();
    all.world.secret = "secret-1";
    all.client.restore("c", [
      { id: "m1", text: "hi", earlier: { answer: "a1", text: "Grü" } },
      { id: "m2", text: "ho", earlier: { text: "" } },
    ]);
    all.world.socket.say(welcomeFrame("another"));
    return all;
  }

  it("resumes where its text ended, reads the history, and only then sends what has no answer", () => {
    const { world, client, events } = reloaded();
    expect(world.socket.sent).toEqual([
      { type: "resume", session: "secret-1", answers: [{ answer: "a1", from: 4 }] },
    ]);
    world.socket.say(resumedFrame());
    expect(world.socket.sent.slice(1)).toEqual([{ type: "history", conversation: "c" }]);
    client.send({ text: "new", conversation: "c", id: "m3" });
    world.socket.say(tokenFrame("m1", "ße", 4));
    expect(textOf(events, "m1")).toBe("ße");
    world.socket.say(history());
    expect(ofType(events, "history")).toHaveLength(1);
    expect(world.socket.sent.slice(2).map(({ id }) => id)).toEqual(["m2", "m3"]);
  });

  it("does not ask again for what the history holds", () => {
    const { world, client } = reloaded();
    client.subscribe((event) => {
      if (event.type === "history") client.settle("m2");
    });
    world.socket.say(resumedFrame());
    world.socket.say(history());
    expect(world.socket.sent).toHaveLength(2);
    expect(client.isPending("m2")).toBe(false);
  });

  it("asks for the history again when the line is cut before the reply, and does without where it is refused", async () => {
    const { world, client, events } = reloaded();
    world.socket.say(resumedFrame());
    await cutAndReturn(world, client);
    world.socket.say(resumedFrame());
    expect(world.socket.sent[1]).toEqual({ type: "history", conversation: "c" });
    world.socket.say({ type: "error", code: "bad_frame", message: "what?", retryable: false });
    expect(world.socket.sent.slice(2).map(({ id }) => id)).toEqual(["m2"]);
    expect(ofType(events, "notice")).toEqual([]);
  });

  it("goes on with an answer that another page asked for", async () => {
    const { world, client, events } = reloaded();
    client.subscribe((event) => {
      if (event.type === "history") client.watch("c", event.frame.running);
    });
    world.socket.say(resumedFrame());
    world.socket.say(history([{ answer: "b1", id: "theirs", length: 3 }]));
    expect(world.sockets).toHaveLength(2);
    world.socket.say(welcomeFrame("another"));
    expect(world.socket.sent[0]).toMatchObject({
      type: "resume",
      answers: [
        { answer: "a1", from: 4 },
        { answer: "b1", from: 0 },
      ],
    });
    world.socket.say(resumedFrame());
    world.socket.say(tokenFrame("theirs", "one", 0, "b1"));
    expect(textOf(events, "theirs")).toBe("one");
    client.cancel("theirs");
    expect(world.socket.sent.at(-1)).toEqual({ type: "cancel", answer: "b1" });
    world.socket.say({
      type: "message",
      id: "theirs",
      answer: "b1",
      content: "one",
      finish_reason: "cancelled",
    });
    expect(ofType(events, "answer")).toMatchObject([{ id: "theirs" }]);
    expect(client.isPending("theirs")).toBe(false);
  });

  it("lets another page's answer go when the server no longer has it", async () => {
    const { world, client, events } = connected();
    client.watch("c", [{ answer: "b1", id: "theirs", length: 3 }]);
    world.socket.say(welcomeFrame("another"));
    world.socket.say(resumedFrame());
    world.socket.say(expired("b1"));
    expect(ofType(events, "withdrawn")).toEqual([{ type: "withdrawn", id: "theirs" }]);
    expect(world.socket.sent.filter(({ type }) => type === "message")).toEqual([]);
  });
});
