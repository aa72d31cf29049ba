import { describe, expect, it } from "vitest";
import { plausibleUsage } from "../../../../../src/providers/remote/reply/plausible-usage.ts";

const own = { promptTokens: 40, completionTokens: 10, reasoningTokens: 0, contextTokens: 1000, cut: false };
const usage = (promptTokens: number, completionTokens: number, cachedTokens = 0) => ({
  promptTokens,
  completionTokens,
  cachedTokens,
});

describe("the usage reported by a server", () => {
  it.each([usage(30, 10), usage(5, 10), usage(60, 25, 20), usage(3000, 3000)])(
    "is kept if it is possible: %o",
    (reported) => {
      expect(plausibleUsage(reported, own)).toBe(reported);
    },
  );

  it.each([
    ["a prompt that is too small", usage(4, 12, 4), usage(40, 12, 4)],
    ["a prompt that is too large", usage(3001, 12, 3000), usage(40, 12, 40)],
    ["fewer tokens than were received", usage(30, 9), usage(30, 10)],
    ["more tokens than the window holds", usage(30, 3001), usage(30, 10)],
  ])("is replaced for %s", (_, reported, expected) => {
    expect(plausibleUsage(reported, own)).toEqual({ ...expected, estimated: true });
  });

  it("keeps the tokens of reasoning of the counts that it uses", () => {
    const reasoned = { ...own, reasoningTokens: 7 };
    const reported = { ...usage(4, 12), reasoningTokens: 5 };
    expect(plausibleUsage(reported, reasoned)).toMatchObject({ completionTokens: 12, reasoningTokens: 5 });
    expect(plausibleUsage(reported, { ...reasoned, cut: true })).toMatchObject({
      completionTokens: 10,
      reasoningTokens: 7,
    });
  });

  it("is replaced if the answer was cut by this service", () => {
    expect(plausibleUsage(usage(30, 500), { ...own, cut: true })).toEqual({
      ...usage(30, 10),
      estimated: true,
    });
  });
});
