import { describe, expect, it } from "vitest";
import { measureOutage } from "../bench/chain/outage.ts";

/** The whole of it, for a minute and with the bars, is `npm run bench -- outage`. */
describe("a provider that fails every request under load", () => {
  it("is left alone: every answer is whole, few requests reach it, and it is back soon after it is well", async () => {
    const result = await measureOutage({ seconds: 3, rate: 50, breakerSeconds: 0.5 });
    expect(result.messages).toBeGreaterThan(100);
    expect(result.whole).toBe(result.messages);
    // Those that open the breaker come together, with their retries; then one probe each half second.
    expect(result.asked).toBeLessThan(40);
    expect(result.recoveredMs).toBeLessThan(500 + 1000);
    expect(result.chain.p95).toBeLessThan(500);
  });
});
