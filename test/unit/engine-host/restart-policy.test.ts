import { describe, expect, it } from "vitest";
import { RestartPolicy } from "../../../src/engine-host/restart-policy.ts";

const options = {
  firstDelayMs: 100,
  maxDelayMs: 500,
  earlyMs: 60_000,
  earlyLimit: 5,
  degradedDelayMs: 60_000,
};

describe("RestartPolicy", () => {
  it("restarts after the first delay following a long run, and doubles the delay with each early exit", () => {
    const policy = new RestartPolicy(options);
    expect(policy.recordExit(3_600_000)).toBe(100);
    expect([1, 2, 3, 4].map(() => policy.recordExit(1000))).toEqual([100, 200, 400, 500]);
    expect(policy.degraded).toBe(false);
  });

  it("becomes degraded after repeated early exits and restarts once a minute", () => {
    const policy = new RestartPolicy(options);
    for (let exit = 0; exit < 5; exit++) policy.recordExit(1000);
    expect(policy.degraded).toBe(true);
    expect(policy.recordExit(1000)).toBe(60_000);
  });

  it("resets the count of early exits after a long run", () => {
    const policy = new RestartPolicy(options);
    for (let exit = 0; exit < 6; exit++) policy.recordExit(1000);
    expect(policy.recordExit(60_000)).toBe(100);
    expect(policy.degraded).toBe(false);
  });
});
