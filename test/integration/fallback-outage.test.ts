import { describe, expect, it } from "vitest";
import { measureOutage } from "../bench/chain/outage.ts";

/** A short version of `npm run bench -- outage`, which runs for a minute and checks its bars. */
describe("a provider that fails every request under load", () => {
  it("gets few requests while it fails, every answer is whole, and it is used again soon after it recovers", async () => {
    const result = await measureOutage({ seconds: 3, rate: 50, breakerSeconds: 0.5 });
    expect(result.messages).toBeGreaterThan(100);
    expect(result.whole).toBe(result.messages);
    // The requests that open the breaker, with their retries, then one probe each half second.
    expect(result.brokenRequests).toBeLessThan(80);
    expect(result.recoveredMs).toBeLessThan(500 + 10_000);
    // Both services run at the same time, so most of the load of the machine cancels out.
    expect(result.chain.p95 - result.alone.p95).toBeLessThan(2000);
  });
});
