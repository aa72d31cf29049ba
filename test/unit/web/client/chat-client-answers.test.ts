import fc from "../../../support/property-tests.ts";
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

describe("an answer", () => {
  it("is emitted piece by piece and ends with the complete text", () => {
    const { world, client, events } = connected();
    const id = client.send({ text: "hi", conversation: "c" });
    world.socket.deliver(tokenFrame(id, "Hel", 0));
    world.socket.deliver(tokenFrame(id, "lo", 3));
    expect(textOf(events, id)).toBe("Hello");
    expect(client.isPending(id)).toBe(true);
    world.socket.deliver(messageEnd(id, "Hello"));
    expect(ofType(events, "answer")[0]).toMatchObject({ id, frame: { content: "Hello" } });
    expect(client.isPending(id)).toBe(false);
  });

  it("is requested again with the same message id when the connection is lost before its first text", async () => {
    const { world, client, events } = connected();
    client.send({ text: "hi", conversation: "c", id: "m1" });
    const first = world.socket.sent[0];
    world.socket.end(1006);
    await waitForAttempt(world, client);
    world.socket.deliver(welcomeFrame("x"));
    world.socket.deliver(resumedFrame());
    expect(world.socket.sent[1]).toEqual(first);
    world.socket.deliver(tokenFrame("m1", "Grüße aus 東京 🙂", 0));
    expect(textOf(events, "m1")).toBe("Grüße aus 東京 🙂");
    expect(ofType(events, "text").some(({ restart }) => restart)).toBe(false);
  });

  it("is restarted when the server creates another answer for the message", async () => {
    const { world, client, events } = connected();
    client.send({ text: "hi", conversation: "c", id: "m1" });
    world.socket.deliver(tokenFrame("m1", "First try", 0, "a1"));
    world.socket.end(1012);
    await world.clock.pass(1_000);
    world.socket.deliver(welcomeFrame("x"));
    world.socket.deliver({ type: "error", code: "resume_expired", message: "", retryable: false });
    world.socket.deliver(tokenFrame("m1", "Second", 0, "a2"));
    expect(textOf(events, "m1")).toBe("Second");
  });

  it("is assembled correctly however its pieces are split and repeated", () => {
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
        // Offsets of characters: a server splits only between characters.
        const cuts = [0, ...[...whole].map((_, n, all) => Buffer.byteLength(all.slice(0, n + 1).join("")))];
        let shown = 0;
        for (const jump of [...jumps, ...cuts.keys()]) {
          const from = cuts.findLast(
            (cut) => cut <= Math.min(shown, cuts[jump % cuts.length] as number),
          ) as number;
          const to = cuts[Math.max(jump % cuts.length, cuts.indexOf(from))] as number;
          world.socket.deliver(tokenFrame(id, bytes.subarray(from, to).toString(), from));
          shown = Math.max(shown, to);
        }
        expect(textOf(events, id)).toBe(bytes.subarray(0, shown).toString());
        expect(shown).toBe(bytes.length);
      }),
      { numRuns: 200 },
    );
  });

  it("skips a piece after a gap and gets its complete text from the closing frame", () => {
    const { world, client, events } = connected();
    const id = client.send({ text: "hi", conversation: "c" });
    world.socket.deliver(tokenFrame(id, "later", 5));
    expect(textOf(events, id)).toBe("");
    world.socket.deliver(messageEnd(id, "soon later"));
    expect(ofType(events, "answer")[0]?.frame.content).toBe("soon later");
  });

  it("emits its queue position, its progress and a change of provider", () => {
    const { world, client, events } = connected();
    const id = client.send({ text: "hi", conversation: "c" });
    world.socket.deliver({ type: "queued", id, answer: "a1", reason: "engine", position: 3 });
    world.socket.deliver({ type: "progress", id, answer: "a1", processed: 10, total: 20 });
    world.socket.deliver({ type: "fallback", id, answer: "a1", to_provider: "openai" });
    const types = events.filter((event) => "id" in event).map(({ type }) => type);
    expect(types).toEqual(["queued", "progress", "fallback"]);
  });

  it("reports that turns were left out of an answer of this page, as a part of that answer", () => {
    const { world, client, events } = connected();
    const id = client.send({ text: "hi", conversation: "c" });
    const cut = { type: "system", event: "history_cut", message: "Too long.", answer: "a1", turns: 4 };
    world.socket.deliver({ ...cut, id });
    world.socket.deliver({ ...cut, id: "other", answer: "a2" });
    expect(events.slice(-1)).toMatchObject([{ type: "history_cut", id, frame: { turns: 4 } }]);
    expect(ofType(events, "notice")).toEqual([]);
  });

  it("ignores frames of other answers, frames of unknown types and repeated frames", () => {
    const { world, client, events } = connected();
    const id = client.send({ text: "hi", conversation: "c" });
    world.socket.deliver(tokenFrame("other", "x", 0));
    world.socket.deliver(messageEnd("other", "x"));
    world.socket.deliver({ type: "something_new", id });
    world.socket.deliver(messageEnd(id, "y"));
    world.socket.deliver(messageEnd(id, "y"));
    expect(ofType(events, "answer")).toHaveLength(1);
    expect(ofType(events, "text")).toHaveLength(0);
  });
});

describe("cancel()", () => {
  it("sends a cancel frame and waits for the text so far", () => {
    const { world, client, events } = connected();
    const id = client.send({ text: "hi", conversation: "c" });
    client.cancel(id);
    expect(world.socket.sent[1]).toEqual({ type: "cancel", id, conversation: "c" });
    expect(client.isPending(id)).toBe(true);
    world.socket.deliver(messageEnd(id, "so f", "cancelled"));
    expect(ofType(events, "answer")[0]?.frame.finish_reason).toBe("cancelled");
  });

  it("withdraws the message when the server no longer has the answer", () => {
    const { world, client, events } = connected();
    const id = client.send({ text: "hi", conversation: "c" });
    client.cancel(id);
    world.socket.deliver({ type: "error", code: "unknown_answer", message: "", retryable: false, id });
    expect(ofType(events, "withdrawn")).toEqual([{ type: "withdrawn", id }]);
  });

  it("withdraws the message at once without a connection, and sends the cancel frame later", async () => {
    const { world, client, events } = connected();
    const id = client.send({ text: "hi", conversation: "c" });
    world.socket.end(1006);
    client.cancel(id);
    expect(ofType(events, "withdrawn")).toHaveLength(1);
    await waitForAttempt(world, client);
    world.socket.deliver(welcomeFrame("x"));
    world.socket.deliver({ type: "system", event: "resumed", message: "", session: "s", client: "x" });
    expect(world.socket.sent.slice(1)).toEqual([{ type: "cancel", id, conversation: "c" }]);
    world.socket.deliver({ type: "error", code: "unknown_answer", message: "", retryable: false, id });
    expect(ofType(events, "notice")).toEqual([]);
  });
});

describe("a failed message", () => {
  it("reports the retry information of the server", () => {
    const { world, client, events } = connected();
    const id = client.send({ text: "hi", conversation: "c" });
    world.socket.deliver({
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

  it("is not reported for `draining`: the message is sent again after the restart", async () => {
    const { world, client, events } = connected();
    client.send({ text: "hi", conversation: "c", id: "m1" });
    world.socket.deliver({ type: "error", code: "draining", message: "", retryable: true, id: "m1" });
    world.socket.end(1012);
    await world.clock.pass(1_000);
    world.socket.deliver(welcomeFrame("x"));
    world.socket.deliver({ type: "error", code: "resume_expired", message: "", retryable: false });
    expect(world.socket.sent[1]).toMatchObject({ id: "m1", message: "hi" });
    expect(ofType(events, "failed")).toEqual([]);
  });

  it("is not reported for an error without a message id, which is emitted as a notice", () => {
    const { world, events } = connected();
    world.socket.deliver({ type: "error", code: "bad_frame", message: "What?", retryable: false });
    expect(ofType(events, "notice")[0]?.frame.message).toBe("What?");
  });

  it.each([
    ["characters", "x".repeat(16_001)],
    ["bytes", "\u0001".repeat(11_000)],
  ])("is reported without sending it when it has too many %s", (_what, text) => {
    const { world, client, events } = connected();
    client.send({ text, conversation: "c" });
    expect(world.socket.sent).toEqual([]);
    expect(ofType(events, "failed")[0]).toMatchObject({ code: "too_long", retryable: false });
  });

  it("is reported when the connection is lost each time it is sent", async () => {
    const { world, client, events } = connected();
    client.send({ text: "poison", conversation: "c", id: "m1" });
    for (let round = 0; round < 6; round++) {
      world.socket.end(1006);
      await waitForAttempt(world, client);
      world.socket.deliver(welcomeFrame("x"));
      world.socket.deliver({ type: "system", event: "resumed", message: "", session: "s", client: "x" });
    }
    expect(ofType(events, "failed")[0]).toMatchObject({ id: "m1", code: "connection", retryable: true });
  });

  it("is not sent again after withdrawAll(), which drops it with its identity", async () => {
    const { world, client } = connected();
    client.send({ text: "mine", conversation: "c", id: "m1" });
    client.disconnect();
    client.withdrawAll();
    world.secret = null;
    client.use({ url: URL_OF_CHAT, token: "a.b.c" });
    world.socket.deliver(welcomeFrame("other"));
    expect(world.socket.sent).toEqual([]);
  });
});
