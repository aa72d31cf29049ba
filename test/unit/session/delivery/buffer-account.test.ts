import fc from "../../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { BufferAccount, type BufferHolder } from "../../../../src/session/delivery/buffer-account.ts";
import { sessionBench } from "../../../support/session-bench.ts";
import { VirtualClock } from "../../../support/virtual-clock.ts";

/** A holder that releases its bytes when it is closed, as a socket does. */
function holder(account: BufferAccount, address = "a"): BufferHolder & { closes: number } {
  return {
    address,
    closes: 0,
    closeToFreeMemory() {
      this.closes++;
      account.set(this, 0);
    },
  };
}

describe("BufferAccount", () => {
  it("adds up the bytes of all open sockets", () => {
    const account = new BufferAccount(1000, new VirtualClock());
    const [a, b] = [holder(account), holder(account)];
    account.set(a, 100);
    account.set(b, 140);
    account.set(a, 50);
    expect(account.bytes).toBe(190);
    account.set(a, 0);
    account.set(b, 0);
    account.set(b, 0);
    expect(account.bytes).toBe(0);
  });

  it("refuses messages above 80 % of the limit while the sockets are read", () => {
    const account = new BufferAccount(1000, new VirtualClock());
    const all = ["a", "b", "c", "d"].map((address) => holder(account, address));
    for (const each of all) account.set(each, 200);
    expect(account.relieve()).toBe(false);
    account.set(all[0] as BufferHolder, 201);
    expect(account.relieve()).toBe(true);
    expect(all.map(({ closes }) => closes)).toEqual([0, 0, 0, 0]);
  });

  it("closes stalled sockets for replies that may take a smaller share, and refuses these earlier than messages", () => {
    const clock = new VirtualClock();
    const account = new BufferAccount(1000, clock);
    const all = ["a", "b", "c"].map((address) => holder(account, address));
    for (const each of all) account.set(each, 200);
    expect([account.relieve(), account.relieve(1 / 2)]).toEqual([false, true]);
    clock.advance(5001);
    expect(account.relieve(1 / 2)).toBe(false);
    expect(all.map(({ closes }) => closes)).toEqual([1, 0, 0]);
  });

  it("closes stalled sockets before it refuses messages, the largest first, and only as many as needed", () => {
    const clock = new VirtualClock();
    const account = new BufferAccount(1000, clock);
    const [small, big, read] = ["a", "b", "c"].map((address) => holder(account, address));
    if (small === undefined || big === undefined || read === undefined) throw new Error("no holders");
    account.set(small, 150);
    account.set(big, 250);
    account.set(read, 200);
    clock.advance(5001);
    // This socket has sent some of its bytes, so it is read.
    account.set(read, 150);
    const late = holder(account, "d");
    account.set(late, 249);
    expect(account.relieve()).toBe(false);
    const last = holder(account, "e");
    account.set(last, 100);
    expect([small, big, read, late, last].map(({ closes }) => closes)).toEqual([0, 1, 0, 0, 0]);
    expect(account.relieve()).toBe(false);
  });

  it("closes the largest socket of an address that holds a quarter, and none of another one", () => {
    const account = new BufferAccount(1000, new VirtualClock());
    const [first, second, other] = [holder(account), holder(account), holder(account, "b")];
    account.set(other, 249);
    account.set(first, 150);
    account.set(second, 101);
    expect([first.closes, second.closes, other.closes]).toEqual([1, 0, 0]);
    expect(account.bytes).toBe(350);
  });

  it("closes the socket that holds most when another one grows over the limit", () => {
    const account = new BufferAccount(1000, new VirtualClock());
    const all = ["a", "b", "c", "d", "e"].map((address) => holder(account, address));
    for (const each of all) account.set(each, each.address === "c" ? 210 : 200);
    expect(all.map(({ closes }) => closes)).toEqual([0, 0, 1, 0, 0]);
  });

  it("never holds more than its limits, for any sequence of sockets and bytes", () => {
    const step = fc.record({ socket: fc.nat(19), bytes: fc.nat(300), ms: fc.nat(3000) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const clock = new VirtualClock();
        const account = new BufferAccount(1000, clock);
        const held = new Map<number, number>();
        const sockets = Array.from({ length: 20 }, (_, index) => ({
          address: String(index % 5),
          closeToFreeMemory() {
            held.delete(index);
            account.set(this, 0);
          },
        }));
        for (const { socket, bytes, ms } of steps) {
          clock.advance(ms);
          held.set(socket, bytes);
          account.set(sockets[socket] as BufferHolder, bytes);
          const total = [...held.values()].reduce((sum, each) => sum + each, 0);
          expect(account.bytes).toBe(total);
          expect(total).toBeLessThanOrEqual(1000);
          for (const address of [0, 1, 2, 3, 4]) {
            const ofAddress = [...held].filter(([index]) => index % 5 === address);
            expect(ofAddress.reduce((sum, [, each]) => sum + each, 0)).toBeLessThanOrEqual(300);
          }
        }
      }),
      { numRuns: 50 },
    );
  });
});

describe("a session under memory pressure", () => {
  it("refuses new messages while the buffers are nearly full, and is cut to free memory", async () => {
    const bench = sessionBench();
    const client = bench.connect();
    const others = ["a", "b", "c", "d"].map((address) => ({ address, closeToFreeMemory: () => {} }));
    for (const other of others) bench.buffers.set(other, 220_000);
    await client.send({ message: "Hi", id: "i" });
    expect(client.socket.frames.at(-1)).toMatchObject({
      code: "overloaded",
      id: "i",
      retryable: true,
      retry_after_ms: 5000,
    });
    for (const other of others) bench.buffers.set(other, 0);
    await client.send({ message: "Hi", id: "i" });
    expect(bench.provider.calls).toHaveLength(1);
    client.session.closeToFreeMemory();
    expect(client.socket.ended).toEqual({ code: 1006, reason: "" });
    expect(bench.metrics.hits).toEqual(["buffered_bytes", "buffered_bytes"]);
  });
});
