import { describe, expect, it } from "vitest";
import { RestartPolicy } from "../../../src/engine-host/restart-policy.ts";

const options = {
  firstDelayMs: 100,
  longestDelayMs: 500,
  earlyMs: 60_000,
  earlyLimit: 5,
  degradedDelayMs: 60_000,
};

describe("RestartPolicy", () => {
  it("starts again at once after a long life, and ever later after early deaths", () => {
    const policy = new RestartPolicy(options);
    expect(policy.died(3_600_000)).toBe(100);
    expect([1, 2, 3, 4].map(() => policy.died(1000))).toEqual([100, 200, 400, 500]);
    expect(policy.degraded).toBe(false);
  });

  it("gives up hope after repeated early deaths, and tries once a minute", () => {
    const policy = new RestartPolicy(options);
    for (let death = 0; death < 5; death++) policy.died(1000);
    expect(policy.degraded).toBe(true);
    expect(policy.died(1000)).toBe(60_000);
  });

  it("forgets early deaths after a long life", () => {
    const policy = new RestartPolicy(options);
    for (let death = 0; death < 6; death++) policy.died(1000);
    expect(policy.died(60_000)).toBe(100);
    expect(policy.degraded).toBe(false);
  });
});
