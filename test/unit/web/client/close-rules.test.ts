import fc from "../../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { closeCodes } from "../../../../src/protocol/close-codes.ts";
import { adviseAfterClose, reconnectDelay, type CloseAdvice } from "../../../../web/client/close-rules.ts";

/** Expected advice for each wording in the server's table of close codes. */
const expectedAdvice: Record<(typeof closeCodes)[keyof typeof closeCodes]["reconnect"], CloseAdvice> = {
  no: { kind: "stop", needs: "action" },
  "later, back off": { kind: "back-off" },
  "at once, with jitter, and resume": { kind: "at-once" },
  "after the `retry_after_ms` in the reason": { kind: "after", ms: 700 },
  "with a valid token": { kind: "stop", needs: "token" },
  "with a new token, and resume": { kind: "stop", needs: "token" },
  later: { kind: "after", ms: 700 },
};

describe("adviseAfterClose", () => {
  it.each(Object.entries(closeCodes))("follows the server's table for %s", (_name, { code, reconnect }) => {
    expect(adviseAfterClose(code, '{"retry_after_ms":700}')).toEqual(expectedAdvice[reconnect]);
  });

  it("backs off after an unknown code or a lost connection", () => {
    for (const code of [1002, 1005, 1006, 1015, 4000]) {
      expect(adviseAfterClose(code, "")).toEqual({ kind: "back-off" });
    }
  });

  it.each(["", "busy", "null", "[]", '{"retry_after_ms":"5"}', '{"retry_after_ms":-1}'])(
    "backs off when the reason is the invalid delay %j",
    (reason) => expect(adviseAfterClose(1013, reason)).toEqual({ kind: "back-off" }),
  );

  it("limits the delay of the server to five minutes", () => {
    const advice = adviseAfterClose(1013, '{"retry_after_ms":1e12}');
    expect(advice).toEqual({ kind: "after", ms: 300_000 });
  });
});

describe("reconnectDelay", () => {
  it("is between 0 and 30 seconds", () => {
    const fraction = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(fc.nat(), fraction, (attempt, random) => {
        const delay = reconnectDelay({ kind: "back-off" }, attempt, random);
        expect(delay).toBeGreaterThanOrEqual(0);
        expect(delay).toBeLessThanOrEqual(30_000);
      }),
    );
  });

  it("is short for the first attempt after a restart, then grows", () => {
    expect(reconnectDelay({ kind: "at-once" }, 0, 0.999)).toBeLessThan(1_000);
    expect(reconnectDelay({ kind: "at-once" }, 6, 0.999)).toBeGreaterThan(10_000);
  });

  it("is never shorter than the delay of the server", () => {
    expect(reconnectDelay({ kind: "after", ms: 4_000 }, 0, 0)).toBe(4_000);
    expect(reconnectDelay({ kind: "after", ms: 4_000 }, 0, 0.999)).toBeLessThan(6_000);
  });
});
