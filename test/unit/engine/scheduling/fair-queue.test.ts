import fc from "../../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { FairQueue, type QueuedJob } from "../../../../src/engine/scheduling/fair-queue.ts";
import { cpuMs } from "../../../support/cpu-ms.ts";

let arrivals = 0;
const job = (accountKey: string, changes: Partial<QueuedJob> = {}): QueuedJob => ({
  accountKey,
  client: accountKey,
  weight: 1,
  promptTokens: 10,
  arrivedAt: arrivals++,
  background: false,
  ...changes,
});
const queueOf = (requests = 1000, promptTokens = 1_000_000) =>
  new FairQueue<QueuedJob>({ requests, promptTokens, background: 2 });

/** Serves one slot: charges each taken request its cost at once and ends it. @returns served tokens by principal. */
function serve(queue: FairQueue<QueuedJob>, tokens: number, cost: (it: QueuedJob) => number) {
  const served = new Map<string, number>();
  for (let left = tokens; left > 0;) {
    const next = queue.take(1);
    if (!next) break;
    queue.charge(next, cost(next));
    served.set(next.accountKey, (served.get(next.accountKey) ?? 0) + cost(next));
    left -= cost(next);
    queue.done(next);
  }
  return served;
}

describe("FairQueue", () => {
  it("serves the principal with the least service next, however many requests another one queues", () => {
    const queue = queueOf();
    for (let index = 0; index < 50; index++) queue.add(job("heavy"));
    for (let index = 0; index < 5; index++) queue.add(job("light"));
    const served = serve(queue, 100, () => 10);
    expect(served.get("light")).toBe(50);
    expect(served.get("heavy")).toBe(50);
  });

  it("serves principals in proportion to their weights", () => {
    const queue = queueOf();
    for (let index = 0; index < 100; index++) {
      queue.add(job("one"));
      queue.add(job("three", { weight: 3 }));
    }
    const served = serve(queue, 800, () => 10);
    expect(served.get("three")).toBeGreaterThanOrEqual(590);
    expect(served.get("three")).toBeLessThanOrEqual(610);
  });

  it("divides the share of an address among its clients, so that new sessions gain nothing over other addresses", () => {
    const queue = queueOf();
    for (let index = 0; index < 60; index++) {
      queue.add(job("addr:a", { client: `anon:${index % 20}` }));
      queue.add(job("sub:b"));
    }
    for (let index = 0; index < 20; index++) queue.add(job("addr:a", { client: "anon:greedy" }));
    const clients = new Map<string, number>();
    for (let turn = 0; turn < 84; turn++) {
      const next = queue.take(1) as QueuedJob;
      queue.charge(next, 10);
      clients.set(next.client, (clients.get(next.client) ?? 0) + 1);
      queue.done(next);
    }
    expect(clients.get("sub:b")).toBe(42);
    expect(clients.get("anon:greedy")).toBe(2);
  });

  it("starts a new principal at the lowest counter, not at zero", () => {
    const queue = queueOf();
    for (let index = 0; index < 50; index++) queue.add(job("old"));
    serve(queue, 200, () => 10);
    for (let index = 0; index < 50; index++) queue.add(job("new"));
    expect(serve(queue, 100, () => 10)).toEqual(
      new Map([
        ["old", 50],
        ["new", 50],
      ]),
    );
  });

  it("keeps the counter of a principal that leaves ahead of the others and returns", () => {
    const queue = queueOf();
    for (let index = 0; index < 30; index++) queue.add(job("steady"));
    const burst = job("burst");
    queue.add(burst);
    expect(queue.take(8)?.accountKey).toBe("steady");
    expect(queue.take(8)).toBe(burst);
    queue.charge(burst, 500);
    queue.done(burst);
    queue.add(job("burst"));
    const order = Array.from({ length: 29 }, () => {
      const next = queue.take(1000) as QueuedJob;
      queue.charge(next, 10);
      return next.accountKey;
    });
    expect(order).not.toContain("burst");
    expect(queue.take(1000)?.accountKey).toBe("burst");
  });

  it("takes the shortest prompt of a client first, but lets no long one wait for ever", () => {
    const queue = queueOf();
    const long = job("a", { promptTokens: 1000, arrivedAt: 0 });
    queue.add(long);
    const waits: number[] = [];
    for (let now = 0; now < 30_000; now += 500) {
      queue.add(job("a", { promptTokens: 20, arrivedAt: now }));
      const next = queue.take(1) as QueuedJob;
      queue.done(next);
      if (next === long) waits.push(now);
    }
    expect(waits).toHaveLength(1);
    expect(waits[0]).toBeGreaterThan(5000);
    expect(waits[0]).toBeLessThanOrEqual(10_000);
  });

  it("gives a free slot to a principal at its cap only when no other principal waits", () => {
    const queue = queueOf();
    for (let index = 0; index < 8; index++) queue.add(job("a"));
    for (let index = 0; index < 8; index++) queue.add(job("b"));
    expect(queue.cap("a", 4)).toBe(2);
    const taken = Array.from({ length: 2 }, () => queue.take(4) as QueuedJob);
    // Although b was served far more tokens, a gets no third slot.
    for (const it of taken) if (it.accountKey === "b") queue.charge(it, 1000);
    for (let index = 0; index < 2; index++) taken.push(queue.take(4) as QueuedJob);
    expect(taken.filter(({ accountKey }) => accountKey === "a")).toHaveLength(2);
    for (const it of taken) if (it.accountKey === "b") queue.done(it);
    for (let index = 0; index < 6; index++) {
      const next = queue.take(4) as QueuedJob;
      expect(next.accountKey).toBe("b");
      queue.done(next);
    }
    expect(queue.take(4)?.accountKey).toBe("a");
  });

  it("limits requests and prompt tokens, but accepts a prompt of any length when it is empty", () => {
    const queue = queueOf(3, 100);
    expect(queue.add(job("a", { promptTokens: 5000 }))).toBe(true);
    expect(queue.add(job("a", { promptTokens: 1 }))).toBe(false);
    queue.done(queue.take(1) as QueuedJob);
    for (const promptTokens of [50, 50]) expect(queue.add(job("a", { promptTokens }))).toBe(true);
    expect(queue.add(job("b", { promptTokens: 1 }))).toBe(false);
    expect([queue.size, queue.promptTokens]).toEqual([2, 100]);
  });

  it("serves background jobs only on request, limits them separately, and does not count them for the cap", () => {
    const queue = queueOf(1);
    const background = [1, 2, 3].map(() => job("a", { background: true }));
    expect(background.map((it) => queue.add(it))).toEqual([true, true, false]);
    expect(queue.take(4)).toBeUndefined();
    expect(queue.add(job("b"))).toBe(true);
    expect(queue.cap("b", 4)).toBe(4);
    expect(queue.take(4)?.accountKey).toBe("b");
    expect(queue.take(4, true)).toBe(background[0]);
    expect([queue.size, queue.background]).toEqual([0, 1]);
  });

  it("lists all waiting requests, beginning with the one that it serves next", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(3), fc.nat(2), fc.integer({ min: 1, max: 200 })), { maxLength: 25 }),
        (all) => {
          const queue = queueOf();
          for (const [accountKey, client, promptTokens] of all) {
            queue.add(job(`p${accountKey}`, { client: `p${accountKey}c${client}`, promptTokens }));
          }
          const cost = (it: QueuedJob) => it.promptTokens + 10;
          const listed = queue.inOrder(cost);
          const real: QueuedJob[] = [];
          // With this many slots no principal reaches its cap.
          for (let next = queue.take(1e6); next; next = queue.take(1e6)) {
            queue.charge(next, cost(next));
            real.push(next);
            queue.done(next);
          }
          expect(listed).toHaveLength(real.length);
          expect(listed[0]).toBe(real[0]);
          expect(new Set(listed)).toEqual(new Set(real));
        },
      ),
    );
  });

  it("keeps its sums correct over any sequence of operations", () => {
    const step = fc.oneof(
      fc.record({
        what: fc.constant("add" as const),
        accountKey: fc.nat(3),
        client: fc.nat(2),
        tokens: fc.nat(50),
      }),
      fc.record({
        what: fc.constantFrom(
          "take" as const,
          "requeue" as const,
          "done" as const,
          "remove" as const,
          "charge" as const,
        ),
        tokens: fc.nat(100),
        at: fc.nat(20),
      }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const queue = queueOf(10);
        const waiting: QueuedJob[] = [];
        const held: QueuedJob[] = [];
        for (const it of steps) {
          if (it.what === "add") {
            const added = job(`p${it.accountKey}`, { client: `c${it.client}`, promptTokens: it.tokens });
            expect(queue.add(added)).toBe(waiting.length < 10);
            if (waiting.length < 10) waiting.push(added);
          } else if (it.what === "take") {
            const taken = queue.take(4);
            // Work-conserving: returns a job whenever one waits.
            expect(taken === undefined).toBe(waiting.length === 0);
            if (taken) held.push(...waiting.splice(waiting.indexOf(taken), 1));
          } else {
            const from = it.what === "remove" ? waiting : held;
            const [chosen] = from.length > 0 ? from.splice(it.at % from.length, 1) : [];
            if (!chosen) continue;
            if (it.what === "remove") expect(queue.remove(chosen)).toBe(true);
            else if (it.what === "done") queue.done(chosen);
            else if (it.what === "requeue") {
              queue.requeue(chosen);
              waiting.push(chosen);
            } else {
              const before = queue.standing(chosen.accountKey)?.counter ?? 0;
              queue.charge(chosen, it.tokens);
              expect(queue.standing(chosen.accountKey)?.counter).toBe(before + it.tokens);
              held.push(chosen);
            }
          }
          expect(queue.size).toBe(waiting.length);
          expect(queue.promptTokens).toBe(waiting.reduce((sum, { promptTokens }) => sum + promptTokens, 0));
          for (const { accountKey, waiting: count, held: slots } of queue.standings()) {
            expect(count).toBe(waiting.filter((other) => other.accountKey === accountKey).length);
            expect(slots).toBe(held.filter((other) => other.accountKey === accountKey).length);
          }
        }
        for (const it of [...held]) queue.done(it);
        for (const it of waiting) queue.remove(it);
        expect([...queue.standings()]).toEqual([]);
      }),
    );
  });

  it("bounds the tokens that any other principal gets between two turns of a waiting one", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 6 }),
        fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 200, maxLength: 200 }),
        (principals, costs) => {
          const queue = queueOf();
          const served = new Map<string, number>();
          for (let index = 0; index < 200; index++) queue.add(job(`p${index % principals}`));
          for (const cost of costs.slice(0, 200 - principals * 10)) {
            const next = queue.take(1) as QueuedJob;
            queue.charge(next, cost);
            served.set(next.accountKey, (served.get(next.accountKey) ?? 0) + cost);
            queue.done(next);
            if ([...queue.standings()].length < principals) break;
            const counts = [...served.values()];
            expect(
              Math.max(...counts) - (served.size < principals ? 0 : Math.min(...counts)),
            ).toBeLessThanOrEqual(50);
          }
        },
      ),
    );
  });

  it("handles 4,096 waiting principals quickly", () => {
    const queue = queueOf(4096);
    const adding = cpuMs(() => {
      for (let index = 0; index < 4096; index++) queue.add(job(`p${index}`));
    });
    const ordering = cpuMs(() => {
      for (let index = 0; index < 100; index++) queue.inOrder(() => 100).at(-1);
    });
    const taking = cpuMs(() => {
      for (let next = queue.take(16); next; next = queue.take(16)) queue.done(next);
    });
    // Generous: a tick takes tens of milliseconds, and a shared machine has hiccups.
    expect(adding / 4096).toBeLessThan(0.5);
    expect(ordering / 100).toBeLessThan(25);
    expect(taking / 4096).toBeLessThan(0.5);
  });
});
