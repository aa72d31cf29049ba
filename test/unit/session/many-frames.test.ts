import { describe, expect, it } from "vitest";
import { sessionBench } from "../../support/session-bench.ts";
import { settle } from "../../support/virtual-clock.ts";

const LARGE_CHARS = 20_000;

/** A large frame whose text is refused, so that the reply has its id and nothing else runs. */
function largeFrame(id: string): string {
  return JSON.stringify({ message: `/unknown ${"x".repeat(LARGE_CHARS)}`, id });
}

describe("frames that arrive in one turn of the event loop", () => {
  it("are handled in order per socket, while large ones wait for later turns", async () => {
    const { connect } = sessionBench();
    const client = connect();
    client.take();
    const ids = Array.from({ length: 40 }, (_, index) => `f${index}`);
    for (const [index, id] of ids.entries()) {
      client.sendNow(index % 2 === 0 ? largeFrame(id) : { message: "/unknown", id });
    }
    const atOnce = client.take().length;
    expect(atOnce).toBeLessThan(ids.length);
    for (let turns = 0; client.session.busy && turns < 100; turns++) await settle();
    expect(client.session.busy).toBe(false);
    const answered = client.socket.frames.filter(({ id }) => id !== undefined).map(({ id }) => id);
    expect(answered.filter((id, index) => answered.indexOf(id) === index)).toEqual(ids);
  });

  it("do not make a ping wait on another socket, or on the same socket after small messages", () => {
    const { connect } = sessionBench();
    const [flood, other] = [connect(), connect({ address: "other" })];
    for (let index = 0; index < 40; index++) flood.sendNow(largeFrame(`f${index}`));
    other.take();
    other.sendNow({ type: "ping" });
    expect(other.take()).toEqual([{ type: "pong" }]);
    flood.session.close("done", "");
  });

  it("are dropped when the socket closes", async () => {
    const { connect } = sessionBench();
    const client = connect();
    for (let index = 0; index < 40; index++) client.sendNow(largeFrame(`f${index}`));
    client.session.close("done", "");
    expect(client.session.waiting).toBeNull();
    const sent = client.socket.frames.length;
    await settle();
    expect(client.socket.frames).toHaveLength(sent);
  });

  it("keep a socket open during a shutdown until all are handled", async () => {
    const { connect } = sessionBench();
    const client = connect();
    for (let index = 0; index < 40; index++) client.sendNow(largeFrame(`f${index}`));
    client.session.retire();
    expect(client.socket.ended).toBeNull();
    for (let turns = 0; client.socket.ended === null && turns < 100; turns++) await settle();
    expect(client.socket.ended?.code).toBe(1012);
    expect(client.socket.frames.filter(({ id }) => id === "f39")).not.toHaveLength(0);
  });
});
