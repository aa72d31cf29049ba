import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { StopTexts } from "../../../../src/providers/remote/stop-texts.ts";

/** What a matcher lets through of the pieces, and whether it was hit. */
function read(stops: readonly string[], pieces: readonly string[]): { text: string; hit: boolean } {
  const matcher = new StopTexts(stops);
  let text = "";
  for (const piece of pieces) {
    const step = matcher.push(piece);
    text += step.text;
    if (step.hit) return { text, hit: true };
  }
  return { text: text + matcher.flush(), hit: false };
}

describe("stop texts", () => {
  it("are found across pieces and are not part of the answer", () => {
    expect(read(["END"], ["one E", "N", "D two"])).toEqual({ text: "one ", hit: true });
  });

  it("let a false beginning through", () => {
    expect(read(["END"], ["E", "EN", "x EN"])).toEqual({ text: "EENx EN", hit: false });
  });

  it("hold nothing back when there are none", () => {
    expect(new StopTexts([""]).push("abc")).toEqual({ text: "abc", hit: false });
  });

  it("give for any division into pieces what the whole text gives", () => {
    const letters = fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 4 });
    const stops = fc.array(letters, { maxLength: 3 });
    fc.assert(
      fc.property(stops, fc.array(letters, { maxLength: 8 }), (some, pieces) => {
        const whole = pieces.join("");
        const ends = some
          .filter((stop) => stop !== "" && whole.includes(stop))
          .map((stop) => ({ at: whole.indexOf(stop), end: whole.indexOf(stop) + stop.length }));
        const { text, hit } = read(some, pieces);
        expect(hit).toBe(ends.length > 0);
        // Of two that overlap the one that is complete first in the stream wins, so its text may begin later.
        if (ends.length === 0) expect(text).toBe(whole);
        else expect(ends.map(({ at }) => at)).toContain(text.length);
        expect(whole.startsWith(text)).toBe(true);
      }),
    );
  });
});
