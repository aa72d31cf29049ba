import fc from "../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { cutAtStop, StopText } from "../../../src/core/stop-text.ts";

function run(
  stops: readonly string[],
  pieces: readonly string[],
): { text: string; stopped: boolean; seen: string[] } {
  const stopText = new StopText(stops);
  const seen: string[] = [];
  for (const piece of pieces) {
    const result = stopText.push(piece);
    seen.push(result.text);
    if (result.stopped) return { text: seen.join(""), stopped: true, seen };
  }
  seen.push(stopText.flush());
  return { text: seen.join(""), stopped: false, seen };
}

// A small alphabet, so that stop texts occur often.
const text = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 30 });
const stops = fc.array(fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 4 }), {
  maxLength: 4,
});

describe("StopText", () => {
  it("ends the text before the stop text, even if that is split over pieces", () => {
    expect(run(["</end>"], ["Hello <", "/en", "d> more"])).toMatchObject({ text: "Hello ", stopped: true });
  });

  it("releases held text when it does not become a stop text", () => {
    expect(run(["</end>"], ["a </e", "m>"])).toMatchObject({ text: "a </em>", stopped: false });
  });

  it("returns held text on flush", () => {
    expect(run(["</end>"], ["a </e"])).toMatchObject({ text: "a </e", stopped: false });
  });

  it("ignores empty stop texts", () => {
    expect(run([""], ["abc"])).toMatchObject({ text: "abc", stopped: false });
  });

  it("holds nothing back when there are no stop texts", () => {
    expect(new StopText([""]).push("abc")).toEqual({ text: "abc", stopped: false });
  });

  it.each([[["xabc"]], [["xa", "bc"]], [["xab", "c"]], [["x", "a", "b", "c"]]])(
    "ends at the stop text that is complete first, with the text split as %j",
    (pieces) => {
      expect(run(["abc", "b"], pieces)).toMatchObject({ text: "xa", stopped: true });
    },
  );

  it("prefers the longer of two stop texts that end at the same place", () => {
    expect(run(["bc", "abc"], ["xabc"])).toMatchObject({ text: "x", stopped: true });
  });

  it("holds nothing after a flush or a stop", () => {
    const flushed = new StopText(["abc"]);
    flushed.push("xab");
    expect([flushed.flush(), flushed.flush()]).toEqual(["ab", ""]);
    const stopped = new StopText(["abc"]);
    stopped.push("xabc");
    expect(stopped.flush()).toBe("");
  });

  it("gives the same result for any split into pieces", () => {
    fc.assert(
      fc.property(stops, text, fc.array(fc.nat(5), { maxLength: 30 }), (marks, whole, cuts) => {
        const pieces: string[] = [];
        let rest = whole;
        for (const cut of cuts) {
          pieces.push(rest.slice(0, cut));
          rest = rest.slice(cut);
        }
        pieces.push(rest);
        const cutUp = run(marks, pieces);
        const atOnce = run(marks, [whole]);
        expect([cutUp.text, cutUp.stopped]).toEqual([atOnce.text, atOnce.stopped]);
      }),
    );
  });

  it("never releases a stop text or the beginning of the one that stopped it", () => {
    fc.assert(
      fc.property(stops, text, (marks, whole) => {
        const { text: out, stopped } = run(marks, [...whole]);
        for (const mark of marks) expect(out).not.toContain(mark);
        expect(whole.startsWith(out)).toBe(true);
        expect(stopped).toBe(marks.some((mark) => whole.includes(mark)));
        if (stopped) expect(marks.some((mark) => whole.startsWith(mark, out.length))).toBe(true);
      }),
    );
  });

  it("holds back only a possible beginning of a stop text, and finally releases all text without one", () => {
    fc.assert(
      fc.property(stops, fc.array(text, { maxLength: 8 }), (marks, pieces) => {
        const stopText = new StopText(marks);
        let taken = "";
        let out = "";
        for (const piece of pieces) {
          const result = stopText.push(piece);
          taken += piece;
          out += result.text;
          if (result.stopped) return;
          const held = taken.slice(out.length);
          expect(taken.startsWith(out)).toBe(true);
          expect(held === "" || marks.some((mark) => mark.startsWith(held) && mark !== held)).toBe(true);
        }
        expect(out + stopText.flush()).toBe(taken);
      }),
    );
  });
});

describe("cutAtStop", () => {
  it("gives the same result as a StopText with pieces", () => {
    expect(cutAtStop("xabc", ["abc", "b"])).toBe("xa");
    fc.assert(
      fc.property(stops, text, (marks, whole) => {
        expect(cutAtStop(whole, marks)).toBe(run(marks, [...whole]).text);
      }),
    );
  });
});
