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

/** Cuts the connection, lets the client reconnect, and returns its `resume` frame. */
async function cutAndReconnect(
  world: FakeWorld,
  client: ReturnType<typeof connected>["client"],
): Promise<Record<string, unknown>> {
  world.socket.end(1006);
  await waitForAttempt(world, client);
  world.socket.deliver(welcomeFrame("another"));
  expect(world.socket.sent).toHaveLength(1);
  return world.socket.sent[0] as Record<string, unknown>;
}

describe("resuming in the middle of an answer", () => {
  it("names each answer and its first missing byte, and does not send the messages again", async () => {
    const { world, client, events } = connected();
    client.send({ text: "hi", conversation: "c", id: "m1" });
    client.send({ text: "ho", conversation: "d", id: "m2" });
    world.socket.deliver(tokenFrame("m1", "Grüße ", 0));
    world.socket.deliver(tokenFrame("m2", "🙂", 0, "a2"));
    expect(await cutAndReconnect(world, client)).toEqual({
      type: "resume",
      session: "secret-1",
      reasoning: true,
      answers: [
        { answer: "a1", from: 8 },
        { answer: "a2", from: 4 },
      ],
    });
    world.socket.deliver(resumedFrame());
    expect(world.socket.sent).toHaveLength(1);
    world.socket.deliver(tokenFrame("m1", "aus 東京", 8));
    expect(textOf(events, "m1")).toBe("Grüße aus 東京");
    expect(ofType(events, "text").some(({ restart }) => restart)).toBe(false);
  });

  it("drops bytes it already has when the server repeats a part of the text", async () => {
    const { world, client, events } = connected();
    client.send({ text: "hi", conversation: "c", id: "m1" });
    world.socket.deliver(tokenFrame("m1", "one two", 0));
    await cutAndReconnect(world, client);
    world.socket.deliver(resumedFrame());
    world.socket.deliver(tokenFrame("m1", "two three", 4));
    expect(textOf(events, "m1")).toBe("one two three");
  });

  it.each(["before", "after"])(
    "sends the message again when its answer has expired (reported %s `resumed`)",
    async (when) => {
      const { world, client, events } = connected();
      client.send({ text: "hi", conversation: "c", id: "m1" });
      world.socket.deliver(tokenFrame("m1", "First", 0));
      await cutAndReconnect(world, client);
      if (when === "before") world.socket.deliver(expired("a1"));
      world.socket.deliver(resumedFrame());
      if (when === "after") world.socket.deliver(expired("a1"));
      expect(world.socket.sent.slice(1)).toEqual([
        { type: "message", message: "hi", id: "m1", conversation: "c", reasoning: true },
      ]);
      world.socket.deliver(tokenFrame("m1", "Second", 0, "a9"));
      expect(textOf(events, "m1")).toBe("Second");
      expect(ofType(events, "notice")).toEqual([]);
    },
  );

  it("sends the message again when the whole session has expired", async () => {
    const { world, client } = connected();
    client.send({ text: "hi", conversation: "c", id: "m1" });
    world.socket.deliver(tokenFrame("m1", "First", 0));
    await cutAndReconnect(world, client);
    world.socket.deliver(expired());
    expect(world.socket.sent[1]).toMatchObject({ id: "m1", message: "hi" });
    expect(world.secret).toBe("another");
  });

  it("resumes at most 32 answers and sends the other messages again", async () => {
    const { world, client } = connected();
    for (let index = 0; index < 40; index++) {
      client.send({ text: "hi", conversation: `c${index}`, id: `m${index}` });
      world.socket.deliver(tokenFrame(`m${index}`, "x", 0, `a${index}`));
    }
    expect((await cutAndReconnect(world, client))["answers"]).toHaveLength(32);
    world.socket.deliver(resumedFrame());
    expect(world.socket.sent.slice(1)).toHaveLength(8);
  });

  it("resumes after any number of cuts while text arrives, and fails after several cuts without text", async () => {
    const { world, client, events } = connected();
    client.send({ text: "hi", conversation: "c", id: "m1" });
    for (let round = 0; round < 20; round++) {
      world.socket.deliver(tokenFrame("m1", "x", round));
      await cutAndReconnect(world, client);
      world.socket.deliver(resumedFrame());
    }
    expect(textOf(events, "m1")).toBe("x".repeat(20));
    for (let round = 0; round < 6; round++) {
      await cutAndReconnect(world, client);
      world.socket.deliver(resumedFrame());
    }
    expect(ofType(events, "failed")[0]).toMatchObject({ id: "m1", code: "connection", retryable: true });
  });

  it("keeps the reconnect delay short while text arrives, and increases it when none does", async () => {
    const { world, client } = connected();
    client.send({ text: "hi", conversation: "c", id: "m1" });
    world.random = 0.99;
    const waits: number[] = [];
    for (let round = 0; round < 8; round++) {
      if (round < 4) world.socket.deliver(tokenFrame("m1", "x", round));
      world.socket.end(1006);
      const { state } = client;
      waits.push(state.phase === "waiting" ? Math.round(state.retryAt - world.clock.now()) : -1);
      await waitForAttempt(world, client);
      world.socket.deliver(welcomeFrame("another"));
      world.socket.deliver(resumedFrame());
    }
    expect(waits).toEqual([495, 495, 495, 495, 990, 1980, 3960, 7920]);
  });

  it("repeats a cancel frame that may have been lost with the connection", async () => {
    const { world, client } = connected();
    client.send({ text: "hi", conversation: "c", id: "m1" });
    world.socket.deliver(tokenFrame("m1", "x", 0));
    client.cancel("m1");
    await cutAndReconnect(world, client);
    world.socket.deliver(resumedFrame());
    expect(world.socket.sent.slice(1)).toEqual([{ type: "cancel", id: "m1", conversation: "c" }]);
  });
});

describe("acknowledgements", () => {
  const acksOf = (world: FakeWorld) => world.socket.sent.filter(({ type }) => type === "ack");

  it("are merged into one for all text shown within 100 ms", async () => {
    const { world, client } = connected();
    client.send({ text: "hi", conversation: "c", id: "m1" });
    world.socket.deliver(tokenFrame("m1", "one", 0));
    world.socket.deliver(tokenFrame("m1", " two", 3));
    expect(acksOf(world)).toEqual([]);
    await world.clock.pass(100);
    expect(acksOf(world)).toEqual([{ type: "ack", answer: "a1", to: 7 }]);
    await world.clock.pass(5_000);
    expect(acksOf(world)).toHaveLength(1);
  });

  it("are sent at once after every 8 KiB of text", async () => {
    const { world, client } = connected();
    client.send({ text: "hi", conversation: "c", id: "m1" });
    for (let at = 0; at < 100_000; at += 1_000) world.socket.deliver(tokenFrame("m1", "x".repeat(1_000), at));
    await world.clock.pass(100);
    const acked = acksOf(world).map(({ to }) => to as number);
    expect(acked.at(-1)).toBe(100_000);
    expect(acked.length).toBeLessThanOrEqual(Math.ceil(100_000 / 8_192) + 1);
    expect(acked.toSorted((a, b) => a - b)).toEqual(acked);
  });

  it("end with the answer and with the socket", async () => {
    const { world, client } = connected();
    client.send({ text: "hi", conversation: "c", id: "m1" });
    client.send({ text: "ho", conversation: "d", id: "m2" });
    world.socket.deliver(tokenFrame("m1", "one", 0));
    world.socket.deliver({ type: "message", id: "m1", answer: "a1", content: "one", finish_reason: "stop" });
    await world.clock.pass(200);
    expect(acksOf(world)).toEqual([]);
    world.socket.deliver(tokenFrame("m2", "two", 0, "a2"));
    const first = world.socket;
    await cutAndReconnect(world, client);
    await world.clock.pass(200);
    expect(first.sent.filter(({ type }) => type === "ack")).toEqual([]);
    expect(acksOf(world)).toEqual([]);
  });
});

describe("a goaway frame", () => {
  const goaway = (resumable: boolean) => ({
    type: "goaway",
    reason: "restart",
    deadline_ms: 10_000,
    resumable,
  });

  it("lets the running answer finish and holds new messages back until the reconnect after 1012", async () => {
    const { world, client, events } = connected();
    client.send({ text: "hi", conversation: "c", id: "m1" });
    world.socket.deliver(tokenFrame("m1", "one", 0));
    world.socket.deliver(goaway(false));
    expect(client.state).toMatchObject({ phase: "open", draining: true });
    client.send({ text: "later", conversation: "c", id: "m2" });
    await world.clock.pass(9_000);
    expect(world.sockets).toHaveLength(1);
    world.socket.deliver({ type: "message", id: "m1", answer: "a1", content: "one", finish_reason: "stop" });
    expect(ofType(events, "answer")).toHaveLength(1);
    expect(world.socket.sent.some(({ id }) => id === "m2")).toBe(false);
    world.random = 0.9;
    world.socket.end(1012);
    expect(client.state).toMatchObject({ phase: "waiting", retryAt: world.clock.now() + 900 });
    await world.clock.pass(900);
    world.socket.deliver(welcomeFrame("x"));
    world.socket.deliver(resumedFrame());
    expect(world.socket.sent[1]).toMatchObject({ id: "m2", message: "later" });
    expect(client.state).toMatchObject({ phase: "open", draining: false });
  });

  it("makes a message that the stopping server cut short be sent again to the next one", async () => {
    const { world, client, events } = connected();
    client.send({ text: "hi", conversation: "c", id: "m1" });
    world.socket.deliver(tokenFrame("m1", "one", 0));
    world.socket.deliver(goaway(false));
    const end = { type: "message", id: "m1", answer: "a1", content: "one", finish_reason: "cancelled" };
    world.socket.deliver(end);
    expect(ofType(events, "answer")).toHaveLength(0);
    world.random = 0;
    world.socket.end(1012);
    await world.clock.pass(1_000);
    world.socket.deliver(welcomeFrame("x"));
    world.socket.deliver({ type: "error", code: "resume_expired", message: "unknown", retryable: false });
    expect(world.socket.sent.at(-1)).toMatchObject({ id: "m1", message: "hi" });
  });

  it("does not delay the end of an answer that the user cancelled", () => {
    const { world, client, events } = connected();
    client.send({ text: "hi", conversation: "c", id: "m1" });
    world.socket.deliver(goaway(false));
    client.cancel("m1");
    world.socket.deliver({
      type: "message",
      id: "m1",
      answer: "a1",
      content: "",
      finish_reason: "cancelled",
    });
    expect(ofType(events, "answer")).toHaveLength(1);
  });

  it("does not keep a cancel frame from being sent", () => {
    const { world, client } = connected();
    client.send({ text: "hi", conversation: "c", id: "m1" });
    world.socket.deliver(goaway(false));
    client.cancel("m1");
    expect(world.socket.sent.at(-1)).toEqual({ type: "cancel", id: "m1", conversation: "c" });
  });

  it("moves a resumable answer to another server at a random time before the deadline", async () => {
    const { world, client } = connected();
    client.send({ text: "hi", conversation: "c", id: "m1" });
    world.socket.deliver(tokenFrame("m1", "one", 0));
    world.random = 0.5;
    world.socket.deliver(goaway(true));
    await world.clock.pass(2_499);
    expect(world.sockets).toHaveLength(1);
    await world.clock.pass(1);
    expect(world.sockets).toHaveLength(2);
    world.socket.deliver(welcomeFrame("x"));
    expect(world.socket.sent[0]).toMatchObject({ type: "resume", answers: [{ answer: "a1", from: 3 }] });
  });
});

describe("restore() after a reload", () => {
  const history = (running: object[] = []) => ({ type: "history", conversation: "c", turns: [], running });

  function reloaded() {
    const all = connect();
    all.world.secret = "secret-1";
    all.client.restore("c", [
      { id: "m1", text: "hi", partial: { answer: "a1", text: "Grü" } },
      { id: "m2", text: "ho", partial: { text: "" } },
    ]);
    all.world.socket.deliver(welcomeFrame("another"));
    return all;
  }

  it("resumes at the end of the known text, requests the history, and only then sends unanswered messages", () => {
    const { world, client, events } = reloaded();
    expect(world.socket.sent).toEqual([
      { type: "resume", session: "secret-1", reasoning: true, answers: [{ answer: "a1", from: 4 }] },
    ]);
    world.socket.deliver(resumedFrame());
    expect(world.socket.sent.slice(1)).toEqual([{ type: "history", conversation: "c" }]);
    client.send({ text: "new", conversation: "c", id: "m3" });
    world.socket.deliver(tokenFrame("m1", "ße", 4));
    expect(textOf(events, "m1")).toBe("ße");
    world.socket.deliver(history());
    expect(ofType(events, "history")).toHaveLength(1);
    expect(world.socket.sent.slice(2).map(({ id }) => id)).toEqual(["m2", "m3"]);
  });

  it("does not send a message again whose answer is in the history", () => {
    const { world, client } = reloaded();
    client.subscribe((event) => {
      if (event.type === "history") client.markAnswered("m2");
    });
    world.socket.deliver(resumedFrame());
    world.socket.deliver(history());
    expect(world.socket.sent).toHaveLength(2);
    expect(client.isPending("m2")).toBe(false);
  });

  it("requests the history again after a cut before the reply, and continues without it on an error", async () => {
    const { world, client, events } = reloaded();
    world.socket.deliver(resumedFrame());
    await cutAndReconnect(world, client);
    world.socket.deliver(resumedFrame());
    expect(world.socket.sent[1]).toEqual({ type: "history", conversation: "c" });
    world.socket.deliver({ type: "error", code: "bad_frame", message: "what?", retryable: false });
    expect(world.socket.sent.slice(2).map(({ id }) => id)).toEqual(["m2"]);
    expect(ofType(events, "notice")).toEqual([]);
  });

  it("continues an answer to a message of another page", async () => {
    const { world, client, events } = reloaded();
    client.subscribe((event) => {
      if (event.type === "history") client.watch("c", event.frame.running);
    });
    world.socket.deliver(resumedFrame());
    world.socket.deliver(history([{ answer: "b1", id: "theirs", length: 3 }]));
    expect(world.sockets).toHaveLength(2);
    world.socket.deliver(welcomeFrame("another"));
    expect(world.socket.sent[0]).toMatchObject({
      type: "resume",
      answers: [
        { answer: "a1", from: 4 },
        { answer: "b1", from: 0 },
      ],
    });
    world.socket.deliver(resumedFrame());
    world.socket.deliver(tokenFrame("theirs", "one", 0, "b1"));
    expect(textOf(events, "theirs")).toBe("one");
    client.cancel("theirs");
    expect(world.socket.sent.at(-1)).toEqual({ type: "cancel", answer: "b1" });
    world.socket.deliver({
      type: "message",
      id: "theirs",
      answer: "b1",
      content: "one",
      finish_reason: "cancelled",
    });
    expect(ofType(events, "answer")).toMatchObject([{ id: "theirs" }]);
    expect(client.isPending("theirs")).toBe(false);
  });

  it("withdraws an answer of another page when it has expired", async () => {
    const { world, client, events } = connected();
    client.watch("c", [{ answer: "b1", id: "theirs", length: 3 }]);
    world.socket.deliver(welcomeFrame("another"));
    world.socket.deliver(resumedFrame());
    world.socket.deliver(expired("b1"));
    expect(ofType(events, "withdrawn")).toEqual([{ type: "withdrawn", id: "theirs" }]);
    expect(world.socket.sent.filter(({ type }) => type === "message")).toEqual([]);
  });
});
