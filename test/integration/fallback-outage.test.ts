import { describe, expect, it } from "vitest";
import { measureOutage } from "../bench/chain/outage.ts";

/** A short version of `npm run bench -- outage`, which runs for a minute and checks its bars. */
describe("a provider that fails every request under load", () => {
  it("gets few requests while it fails, every answer is whole, and it is used again soon after it recovers", async () => {
    // A rate that a busy machine can serve too, so that no messages pile up.
    const result = await measureOutage({ seconds: 5, rate: 15, breakerSeconds: 0.5 });
    expect(result.messages).toBeGreaterThan(70);
    expect(result.whole).toBe(result.messages);
    // The requests that open the breaker, with their retries, then one probe each half second.
    expect(result.brokenRequests).toBeLessThan(50);
    expect(result.recoveredMs).toBeLessThan(500 + 15_000);
    // Both services run at the same time, so most of the load of the machine cancels out of the medians. The bench
    // checks the slow answers too.
    expect(result.chain.p50 - result.alone.p50).toBeLessThan(2000);
  });
});
