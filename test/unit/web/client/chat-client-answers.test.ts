import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  connected,
  ofType,
  resumedFrame,
  textOf,
  tokenFrame,
  URL_OF_CHAT,
  waitForAttempt,
  welcomeFrame,
} from "./fake-environment.ts";

const messageEnd = (id: string, content: string, reason = "stop") => ({
  type: "message",
  id,
  answer: "a1",
  conversation: "c",
  content,
  finish_reason: reason,
});

describe("answers", () => {
  it("come piece by piece and end with the whole", () => {
    const { world, client, events } = connected();
    const id = client.send({ text: "hi", conversation: "c" });
    world.socket.say(tokenFrame(id, "Hel", 0));
    world.socket.say(tokenFrame(id, "lo", 3));
    expect(textOf(events, id)).toBe("Hello");
    expect(client.isPending(id)).toBe(true);
    world.socket.say(messageEnd(id, "Hello"));
    expect(ofType(events, "answer")[0]).toMatchObject({ id, frame: { content: "Hello" } });
    expect(client.isPending(id)).toBe(false);
  });

  it("are asked for again under the same id after a cut that came before their first text", async () => {
    const { world, client, events } = connected();
    client.send({ text: "hi", conversation: "c", id: "m1" });
    const first = world.socket.sent[0];
    world.socket.end(1006);
    await waitForAttempt(world, client);
    world.socket.say(welcomeFrame("x"));
    world.socket.say(resumedFrame());
    expect(world.socket.sent[1]).toEqual(first);
    world.socket.say(tokenFrame("m1", "Grüße aus 東京 🙂", 0));
    expect(textOf(events, "m1")).toBe("Grüße aus 東京 🙂");
    expect(ofType(events, "text").some(({ restart }) => restart)).toBe(false);
  });

  it("begin anew when the server made another answer of the message", async () => {
    const { world, client, events } = connected();
    client.send({ text: "hi", conversation: "c", id: "m1" });
    world.socket.say(tokenFrame("m1", "First try", 0, "a1"));
    world.socket.end(1012);
    await world.clock.pass(1_000);
    world.socket.say(welcomeFrame("x"));
    world.socket.say({ type: "error", code: "resume_expired", message: "", retryable: false });
    world.socket.say(tokenFrame("m1", "Second", 0, "a2"));
    expect(textOf(events, "m1")).toBe("Second");
  });

  it("are put together byte by byte, however they are cut and repeated", () => {
    const pieces = fc.array(fc.string({ unit: "grapheme", minLength: 1, maxLength: 8 }), {
      minLength: 1,
      maxLength: 20,
    });
    fc.assert(
      fc.property(pieces, fc.array(fc.nat(), { maxLength: 20 }), (parts, jumps) => {
        const { world, client, events } = connected();
        const id = client.send({ text: "hi", conversation: "c" });
        const whole = parts.join("");
        const bytes = Buffer.from(whole);
        // Starts of characters, which is where a server may cut.
        const cuts = [0, ...[...whole].map((_, n, all) => Buffer.byteLength(all.slice(0, n + 1).join("")))];
        let shown = 0;
        for (const jump of [...jumps, ...cuts.keys()]) {
          const from = cuts.findLast(
            (cut) => cut <= Math.min(shown, cuts[jump % cuts.length] as number),
          ) as number;
          const to = cuts[Math.max(jump % cuts.length, cuts.indexOf(from))] as number;
          world.socket.say(tokenFrame(id, bytes.subarray(from, to).toString(), from));
          shown = Math.max(shown, to);
        }
        expect(textOf(events, id)).toBe(bytes.subarray(0, shown).toString());
        expect(shown).toBe(bytes.length);
      }),
      { numRuns: 200 },
    );
  });

  it("skip a piece whose beginning is missing; the closing frame has it all", () => {
    const { world, client, events } = connected();
    const id = client.send({ text: "hi", conversation: "c" });
    world.socket.say(tokenFrame(id, "later", 5));
    expect(textOf(events, id)).toBe("");
    world.socket.say(messageEnd(id, "soon later"));
    expect(ofType(events, "answer")[0]?.frame.content).toBe("soon later");
  });

  it("tell queue place, progress and a change of provider", () => {
    const { world, client, events } = connected();
    const id = client.send({ text: "hi", conversation: "c" });
    world.socket.say({ type: "queued", id, answer: "a1", reason: "engine", position: 3 });
    world.socket.say({ type: "progress", id, answer: "a1", processed: 10, total: 20 });
    world.socket.say({ type: "fallback", id, answer: "a1", to_provider: "openai" });
    const types = events.filter((event) => "id" in event).map(({ type }) => type);
    expect(types).toEqual(["queued", "progress", "fallback"]);
  });

  it("are not confused by frames of unknown answers, of later versions, or sent twice", () => {
    const { world, client, events } = connected();
    const id = client.send({ text: "hi", conversation: "c" });
    world.socket.say(tokenFrame("other", "x", 0));
    world.socket.say(messageEnd("other", "x"));
    world.socket.say({ type: "something_new", id });
    world.socket.say(messageEnd(id, "y"));
    world.socket.say(messageEnd(id, "y"));
    expect(ofType(events, "answer")).toHaveLength(1);
    expect(ofType(events, "text")).toHaveLength(0);
  });
});

describe("stopping", () => {
  it("asks the server and waits for the text so far", () => {
    const { world, client, events } = connected();
    const id = client.send({ text: "hi", conversation: "c" });
    client.cancel(id);
    expect(world.socket.sent[1]).toEqual({ type: "cancel", id, conversation: "c" });
    expect(client.isPending(id)).toBe(true);
    world.socket.say(messageEnd(id, "so f", "cancelled"));
    expect(ofType(events, "answer")[0]?.frame.finish_reason).toBe("cancelled");
  });

  it("ends here when the server no longer knows the answer", () => {
    const { world, client, events } = connected();
    const id = client.send({ text: "hi", conversation: "c" });
    client.cancel(id);
    world.socket.say({ type: "error", code: "unknown_answer", message: "", retryable: false, id });
    expect(ofType(events, "withdrawn")).toEqual([{ type: "withdrawn", id }]);
  });

  it("without a connection takes effect at once, and is told to the server later", async () => {
    const { world, client, events } = connected();
    const id = client.send({ text: "hi", conversation: "c" });
    world.socket.end(1006);
    client.cancel(id);
    expect(ofType(events, "withdrawn")).toHaveLength(1);
    await waitForAttempt(world, client);
    world.socket.say(welcomeFrame("x"));
    world.socket.say({ type: "system", event: "resumed", message: "", session: "s", client: "x" });
    expect(world.socket.sent.slice(1)).toEqual([{ type: "cancel", id, conversation: "c" }]);
    world.socket.say({ type: "error", code: "unknown_answer", message: "", retryable: false, id });
    expect(ofType(events, "notice")).toEqual([]);
  });
});

describe("failures", () => {
  it("carry what the server says of trying again", () => {
    const { world, client, events } = connected();
    const id = client.send({ text: "hi", conversation: "c" });
    world.socket.say({
      type: "error",
      code: "busy",
      message: "Wait.",
      retryable: true,
      retry_after_ms: 900,
      id,
    });
    expect(ofType(events, "failed")).toEqual([
      { type: "failed", id, code: "busy", message: "Wait.", retryable: true, retryAfterMs: 900 },
    ]);
  });

  it("of a server that stops are not failures: the message goes to the next one", async () => {
    const { world, client, events } = connected();
    client.send({ text: "hi", conversation: "c", id: "m1" });
    world.socket.say({ type: "error", code: "draining", message: "", retryable: true, id: "m1" });
    world.socket.end(1012);
    await world.clock.pass(1_000);
    world.socket.say(welcomeFrame("x"));
    world.socket.say({ type: "error", code: "resume_expired", message: "", retryable: false });
    expect(world.socket.sent[1]).toMatchObject({ id: "m1", message: "hi" });
    expect(ofType(events, "failed")).toEqual([]);
  });

  it("without a message are notices", () => {
    const { world, events } = connected();
    world.socket.say({ type: "error", code: "bad_frame", message: "What?", retryable: false });
    expect(ofType(events, "notice")[0]?.frame.message).toBe("What?");
  });

  it.each([
    ["characters", "x".repeat(16_001)],
    ["bytes", "\u0001".repeat(11_000)],
  ])("come from here when a message has too many %s, before it costs the connection", (_what, text) => {
    const { world, client, events } = connected();
    client.send({ text, conversation: "c" });
    expect(world.socket.sent).toEqual([]);
    expect(ofType(events, "failed")[0]).toMatchObject({ code: "too_long", retryable: false });
  });

  it("end a message that meets one cut after the other", async () => {
    const { world, client, events } = connected();
    client.send({ text: "poison", conversation: "c", id: "m1" });
    for (let round = 0; round < 6; round++) {
      world.socket.end(1006);
      await waitForAttempt(world, client);
      world.socket.say(welcomeFrame("x"));
      world.socket.say({ type: "system", event: "resumed", message: "", session: "s", client: "x" });
    }
    expect(ofType(events, "failed")[0]).toMatchObject({ id: "m1", code: "connection", retryable: true });
  });

  it("are none for what is given up with an identity: it is never sent again", async () => {
    const { world, client } = connected();
    client.send({ text: "mine", conversation: "c", id: "m1" });
    client.disconnect();
    client.withdrawAll();
    world.secret = null;
    client.use({ url: URL_OF_CHAT, token: "a.b.c" });
    world.socket.say(welcomeFrame("other"));
    expect(world.socket.sent).toEqual([]);
  });
});
