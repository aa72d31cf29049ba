import { describe, expect, it } from "vitest";
import { BufferAccount, type BufferHolder } from "../../../../src/session/delivery/buffer-account.ts";
import { sessionBench } from "../../../support/session-bench.ts";

/** A holder that releases its bytes when it is closed, as a socket does. */
function holder(account: BufferAccount): BufferHolder & { closes: number } {
  return {
    closes: 0,
    closeToFreeMemory() {
      this.closes++;
      account.set(this, 0);
    },
  };
}

describe("BufferAccount", () => {
  it("adds up the bytes of all open sockets", () => {
    const account = new BufferAccount(1000);
    const [a, b] = [holder(account), holder(account)];
    account.set(a, 100);
    account.set(b, 200);
    account.set(a, 50);
    expect(account.bytes).toBe(250);
    account.set(a, 0);
    account.set(b, 0);
    account.set(b, 0);
    expect(account.bytes).toBe(0);
  });

  it("is nearly full above 80 % of the limit, before any socket is closed", () => {
    const account = new BufferAccount(1000);
    const a = holder(account);
    account.set(a, 800);
    expect(account.isNearlyFull).toBe(false);
    account.set(a, 801);
    expect([account.isNearlyFull, a.closes]).toEqual([true, 0]);
  });

  it("closes the socket that holds most when another one grows over the limit", () => {
    const account = new BufferAccount(1000);
    const [big, small, last] = [holder(account), holder(account), holder(account)];
    account.set(big, 700);
    account.set(small, 290);
    account.set(last, 20);
    expect([big.closes, small.closes, last.closes]).toEqual([1, 0, 0]);
    expect(account.bytes).toBe(310);
  });
});

describe("a session under memory pressure", () => {
  it("refuses new messages while the buffers are nearly full, and is closed with 1013 to free memory", async () => {
    const bench = sessionBench();
    const client = bench.connect();
    const other: BufferHolder = { closeToFreeMemory: () => {} };
    bench.buffers.set(other, 900_000);
    await client.send({ message: "Hi", id: "i" });
    expect(client.socket.frames.at(-1)).toMatchObject({
      code: "overloaded",
      id: "i",
      retryable: true,
      retry_after_ms: 5000,
    });
    bench.buffers.set(other, 0);
    await client.send({ message: "Hi", id: "i" });
    expect(bench.provider.calls).toHaveLength(1);
    client.session.closeToFreeMemory();
    expect(client.socket.ended).toEqual({ code: 1013, reason: '{"retry_after_ms":5000}' });
    expect(bench.metrics.hits).toEqual(["buffered_bytes", "buffered_bytes"]);
  });
});
