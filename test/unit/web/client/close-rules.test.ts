import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { closeCodes } from "../../../../src/protocol/close-codes.ts";
import { adviseAfterClose, reconnectDelay, type CloseAdvice } from "../../../../web/client/close-rules.ts";

/** What each wording of the server's table asks of a client. */
const advised: Record<(typeof closeCodes)[keyof typeof closeCodes]["reconnect"], CloseAdvice> = {
  no: { then: "stop", needs: "action" },
  "later, back off": { then: "back-off" },
  "at once, with jitter, and resume": { then: "at-once" },
  "after the `retry_after_ms` in the reason": { then: "after", ms: 700 },
  "with a valid token": { then: "stop", needs: "token" },
  "with a new token, and resume": { then: "stop", needs: "token" },
  later: { then: "after", ms: 700 },
};

describe("close codes", () => {
  it.each(Object.entries(closeCodes))(
    "%s is followed as the server's table says",
    (_name, { code, reconnect }) => {
      expect(adviseAfterClose(code, '{"retry_after_ms":700}')).toEqual(advised[reconnect]);
    },
  );

  it("that nobody knows, and cuts, mean backing off", () => {
    for (const code of [1002, 1005, 1006, 1015, 4000]) {
      expect(adviseAfterClose(code, "")).toEqual({ then: "back-off" });
    }
  });

  it.each(["", "busy", "null", "[]", '{"retry_after_ms":"5"}', '{"retry_after_ms":-1}'])(
    "with the unreadable delay %j mean backing off",
    (reason) => expect(adviseAfterClose(1013, reason)).toEqual({ then: "back-off" }),
  );

  it("never keep a client away for more than minutes", () => {
    const advice = adviseAfterClose(1013, '{"retry_after_ms":1e12}');
    expect(advice).toEqual({ then: "after", ms: 300_000 });
  });
});

describe("delays", () => {
  it("lie between nothing and their bound", () => {
    const fraction = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(fc.nat(), fraction, (attempt, random) => {
        const delay = reconnectDelay({ then: "back-off" }, attempt, random);
        expect(delay).toBeGreaterThanOrEqual(0);
        expect(delay).toBeLessThanOrEqual(30_000);
      }),
    );
  });

  it("after a restart are short once, then grow", () => {
    expect(reconnectDelay({ then: "at-once" }, 0, 0.999)).toBeLessThan(1_000);
    expect(reconnectDelay({ then: "at-once" }, 6, 0.999)).toBeGreaterThan(10_000);
  });

  it("are never shorter than the server asked for", () => {
    expect(reconnectDelay({ then: "after", ms: 4_000 }, 0, 0)).toBe(4_000);
    expect(reconnectDelay({ then: "after", ms: 4_000 }, 0, 0.999)).toBeLessThan(6_000);
  });
});
