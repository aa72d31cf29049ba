import { describe, expect, it } from "vitest";
import type { ClientEvent } from "../../../../web/client/client-events.ts";
import {
  connect,
  connected,
  ofType,
  resumedFrame,
  textOf,
  tokenFrame,
  waitForAttempt,
  welcomeFrame,
} from "./fake-environment.ts";

function reasoningFrame(id: string, content: string, from: number, answer = "a1"): object {
  return { ...tokenFrame(id, content, from, answer), type: "reasoning" };
}

function reasoningOf(events: readonly ClientEvent[]): string {
  return ofType(events, "reasoning").reduce((all, { delta, restart }) => (restart ? delta : all + delta), "");
}

describe("the reasoning before an answer", () => {
  it("is requested, and emitted apart from the text", () => {
    const { world, client, events } = connected();
    const id = client.send({ text: "hi", conversation: "c" });
    expect(world.socket.sent[0]).toMatchObject({ type: "message", reasoning: true });
    world.socket.deliver(reasoningFrame(id, "Hm", 0));
    world.socket.deliver(reasoningFrame(id, "m.", 2));
    world.socket.deliver(tokenFrame(id, "Hi", 0));
    expect([reasoningOf(events), textOf(events, id)]).toEqual(["Hmm.", "Hi"]);
  });

  it("continues at its own offset after a lost connection, without repeated bytes", async () => {
    const { world, client, events } = connected();
    client.send({ text: "hi", conversation: "c", id: "m1" });
    world.socket.deliver(reasoningFrame("m1", "über", 0));
    world.socket.end(1006);
    await waitForAttempt(world, client);
    world.socket.deliver(welcomeFrame("x"));
    expect(world.socket.sent).toEqual([
      {
        type: "resume",
        session: "secret-1",
        reasoning: true,
        answers: [{ answer: "a1", from: 0, reasoning_from: 5 }],
      },
    ]);
    world.socket.deliver(resumedFrame());
    world.socket.deliver(reasoningFrame("m1", "er alles", 3));
    world.socket.deliver(tokenFrame("m1", "Hi", 0));
    expect([reasoningOf(events), textOf(events, "m1")]).toEqual(["über alles", "Hi"]);
  });

  it("counts as progress of a message that loses its connection again and again", async () => {
    const { world, client, events } = connected();
    client.send({ text: "hi", conversation: "c", id: "m1" });
    for (let cuts = 0; cuts < 12; cuts++) {
      world.socket.deliver(reasoningFrame("m1", "a", cuts));
      world.socket.end(1006);
      await waitForAttempt(world, client);
      world.socket.deliver(welcomeFrame("x"));
      world.socket.deliver(resumedFrame());
    }
    expect(ofType(events, "failed")).toEqual([]);
    expect(reasoningOf(events)).toBe("a".repeat(12));
  });

  it("is not acknowledged", async () => {
    const { world, client } = connected();
    client.send({ text: "hi", conversation: "c", id: "m1" });
    world.socket.deliver(reasoningFrame("m1", "x".repeat(20_000), 0));
    await world.clock.pass(1000);
    expect(world.socket.sent.filter(({ type }) => type === "ack")).toEqual([]);
  });

  it("starts again with a new answer to the same message", () => {
    const { world, client, events } = connected();
    client.send({ text: "hi", conversation: "c", id: "m1" });
    world.socket.deliver(reasoningFrame("m1", "first", 0));
    world.socket.deliver(reasoningFrame("m1", "second", 0, "a2"));
    expect(reasoningOf(events)).toBe("second");
    expect(ofType(events, "reasoning").at(-1)?.restart).toBe(true);
  });

  it("continues after a reload", () => {
    const { world, client, events } = connect();
    world.secret = "secret-1";
    const partial = { answer: "a1", text: "", reasoning: "Hm" };
    client.restore("c", [{ id: "m1", text: "hi", partial }]);
    world.socket.deliver(welcomeFrame("x"));
    expect(world.socket.sent[0]).toMatchObject({ answers: [{ answer: "a1", from: 0, reasoning_from: 2 }] });
    world.socket.deliver(resumedFrame());
    world.socket.deliver(reasoningFrame("m1", ".", 2));
    expect(reasoningOf(events)).toBe(".");
  });
});
