import { describe, expect, it } from "vitest";
import { parseDuration } from "../../../src/auth/duration.ts";

describe("parseDuration", () => {
  it.each([
    ["90s", 90],
    ["15m", 900],
    ["1h", 3600],
    ["30d", 2_592_000],
  ])("reads %s as %i seconds", (text, seconds) => {
    expect(parseDuration(text)).toBe(seconds);
  });

  it.each(["", "1", "h", "0s", "-1h", "1.5h", "1w", "1h30m", "1 h", "9999999999s"])("refuses %j", (text) => {
    expect(parseDuration(text)).toBeUndefined();
  });
});
