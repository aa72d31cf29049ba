import fc from "../../support/property-tests.ts";
import { beforeEach, describe, expect, it } from "vitest";
import { ServiceError } from "../../../src/core/errors.ts";
import { SpendGuard, type Payer, type SpendLimits } from "../../../src/providers/spend-guard.ts";
import { CountingMetrics } from "../../support/counting-metrics.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const DAY_MS = 86_400_000;
const ada: Payer = { client: "sub:ada", address: undefined };
const anonymous = (session: number, address = "addr:192.0.2.1"): Payer => ({
  client: `anon:${session}`,
  address,
});

let clock: VirtualClock;
let metrics: CountingMetrics;

beforeEach(() => {
  clock = new VirtualClock();
  // Each test begins at midnight UTC.
  clock.shiftWall(DAY_MS - (clock.wall() % DAY_MS));
  metrics = new CountingMetrics();
});

function guardOf(limits: Partial<SpendLimits>, maxKeys?: number): SpendGuard {
  const all = { total: 0, client: 0, address: 0, ...limits };
  return new SpendGuard({ limits: all, clock, metrics, ...(maxKeys !== undefined && { maxKeys }) });
}

function refusalOf(reserve: () => unknown): ServiceError {
  try {
    reserve();
  } catch (error) {
    if (error instanceof ServiceError) return error;
  }
  throw new Error("it was not refused");
}

describe("the spend guard", () => {
  it("counts tokens without refusing calls if no limit is set", () => {
    const guard = guardOf({});
    guard.reserve(ada, 1_000_000).settle(5);
    guard.reserve(ada, 10);
    expect(guard.usedToday()).toBe(15);
    expect(metrics.gauges.get("remote_tokens_today")?.()).toBe(15);
    expect(guard.keys).toBe(0);
  });

  it("keeps a part of the total for clients with a token", () => {
    const limits = { total: 100, client: 0, address: 0 };
    const guard = new SpendGuard({ limits, anonymousShare: 0.75, clock, metrics });
    guard.reserve(anonymous(1), 40);
    guard.reserve(anonymous(2), 35).settle(30);
    refusalOf(() => guard.reserve(anonymous(3), 6));
    guard.reserve(anonymous(3), 5);
    guard.reserve(ada, 25);
    refusalOf(() => guard.reserve(ada, 1));
    expect(metrics.spendRefusals).toEqual(["total", "total"]);
    clock.advance(DAY_MS);
    guard.reserve(anonymous(1), 75);
  });

  it("lets anonymous clients use nothing with a share of 0, and everything without a total", () => {
    const limits = { total: 100, client: 0, address: 0 };
    const none = new SpendGuard({ limits, anonymousShare: 0, clock, metrics });
    refusalOf(() => none.reserve(anonymous(1), 1));
    none.reserve(ada, 100);
    const unlimited = { ...limits, total: 0 };
    const all = new SpendGuard({ limits: unlimited, anonymousShare: 0.75, clock, metrics });
    all.reserve(anonymous(1), 1_000_000);
    expect(all.usedToday()).toBe(1_000_000);
  });

  it("refuses a call over the total limit and states when the limit resets", () => {
    const guard = guardOf({ total: 100 });
    guard.reserve(ada, 60);
    clock.advance(DAY_MS - 3 * 3_600_000 - 20 * 60_000);
    const error = refusalOf(() => guard.reserve(anonymous(1), 41));
    expect(error).toMatchObject({ code: "spend_limit", retryable: true, retryAfterMs: 12_000_000 });
    expect(error.message).toContain("00:00 UTC, in 3 h 20 min");
    expect(error.message).toContain("REMOTE_MAX_TOKENS_PER_DAY)");
    // The rest of the total must not be shown.
    expect(error.message).not.toContain("40");
    expect(metrics.spendRefusals).toEqual(["total"]);
    guard.reserve(anonymous(1), 40);
    expect(guard.usedToday()).toBe(100);
  });

  it("limits one client without affecting others, and states the remaining tokens", () => {
    const guard = guardOf({ client: 100 });
    guard.reserve(ada, 70);
    const error = refusalOf(() => guard.reserve(ada, 31));
    expect(error.message).toContain("REMOTE_MAX_TOKENS_PER_DAY_CLIENT");
    expect(error.message).toContain("may take 31 tokens and 30 are left");
    guard.reserve({ client: "sub:bob", address: undefined }, 100);
    expect(metrics.spendRefusals).toEqual(["client"]);
  });

  it("limits all anonymous sessions of an address together", () => {
    const guard = guardOf({ address: 100 });
    for (let session = 0; session < 10; session++) guard.reserve(anonymous(session), 10);
    expect(refusalOf(() => guard.reserve(anonymous(11), 1)).message).toContain("_ADDRESS");
    guard.reserve(anonymous(11, "addr:192.0.2.2"), 100);
    guard.reserve(ada, 1000);
  });

  it("reserves nothing if one of several limits refuses the call", () => {
    const guard = guardOf({ total: 1000, client: 100, address: 150 });
    guard.reserve(anonymous(1), 100);
    refusalOf(() => guard.reserve(anonymous(2), 60));
    guard.reserve(anonymous(2), 50);
    expect(guard.usedToday()).toBe(150);
  });

  it("releases the unused part of a reservation once", () => {
    const guard = guardOf({ total: 100, client: 100 });
    const first = guard.reserve(ada, 100);
    first.settle(30);
    first.settle(0);
    expect(guard.usedToday()).toBe(30);
    guard.reserve(ada, 70);
    refusalOf(() => guard.reserve(ada, 1));
  });

  it("counts a call that used more than its reservation", () => {
    const guard = guardOf({ total: 100 });
    guard.reserve(ada, 50).settle(120);
    expect(guard.usedToday()).toBe(120);
    refusalOf(() => guard.reserve(ada, 1));
  });

  it("resets at midnight UTC, and later settlements do not affect the new day", () => {
    const guard = guardOf({ total: 100, client: 100, address: 100 });
    const late = guard.reserve(anonymous(1), 100);
    clock.advance(DAY_MS - 1);
    expect(refusalOf(() => guard.reserve(anonymous(1), 1)).retryAfterMs).toBe(1);
    clock.advance(1);
    guard.reserve(anonymous(1), 100);
    late.settle(0);
    expect(guard.usedToday()).toBe(100);
    refusalOf(() => guard.reserve(anonymous(1), 1));
  });

  it("does not start the day again if the clock is set back over midnight", () => {
    const guard = guardOf({ total: 100 });
    guard.reserve(ada, 100);
    clock.shiftWall(-60_000);
    const error = refusalOf(() => guard.reserve(ada, 1));
    expect(error.retryAfterMs).toBe(DAY_MS + 60_000);
    clock.shiftWall(-30 * DAY_MS);
    guard.reserve(ada, 100);
  });

  it("keeps a bounded number of accounts and deletes those that used the least", () => {
    const guard = guardOf({ client: 100 }, 10);
    guard.reserve(ada, 100);
    for (let session = 0; session < 1000; session++) guard.reserve(anonymous(session), 1);
    expect(guard.keys).toBeLessThanOrEqual(10);
    expect(metrics.gauges.get("remote_spenders")?.()).toBe(guard.keys);
    refusalOf(() => guard.reserve(ada, 1));
    expect(guard.usedToday()).toBe(1100);
  });

  it("never exceeds a limit for any sequence of calls", () => {
    const act = fc.record({
      tokens: fc.integer({ min: 0, max: 60 }),
      settle: fc.integer({ min: 0, max: 60 }),
    });
    fc.assert(
      fc.property(fc.array(act, { maxLength: 60 }), (acts) => {
        const guard = guardOf({ total: 100 });
        let sum = 0;
        for (const { tokens, settle } of acts) {
          if (sum + tokens > 100) {
            refusalOf(() => guard.reserve(ada, tokens));
            continue;
          }
          const actual = Math.min(settle, tokens);
          guard.reserve(ada, tokens).settle(actual);
          sum += actual;
        }
        expect(guard.usedToday()).toBe(sum);
        expect(sum).toBeLessThanOrEqual(100);
      }),
    );
  });
});
