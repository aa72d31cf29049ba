import { describe, expect, it } from "vitest";
import { closeCodes, MAX_CLOSE_REASON_BYTES } from "../../../src/protocol/close-codes.ts";

describe("close codes", () => {
  // Clients depend on these values.
  it("have the values of the protocol", () => {
    const codes = Object.fromEntries(Object.entries(closeCodes).map(([name, { code }]) => [name, code]));
    expect(codes).toEqual({
      done: 1000,
      goingAway: 1001,
      policy: 1008,
      frameTooBig: 1009,
      serverFault: 1011,
      restart: 1012,
      overloaded: 1013,
      unauthorized: 4401,
      forbidden: 4403,
      tokenExpired: 4408,
      replaced: 4409,
      rateLimited: 4429,
    });
    expect(MAX_CLOSE_REASON_BYTES).toBe(123);
  });

  it("each have a meaning and state whether to reconnect", () => {
    for (const { reconnect, meaning } of Object.values(closeCodes)) {
      expect(reconnect).not.toBe("");
      expect(meaning).toMatch(/\.$/);
    }
  });
});
