import fc from "../../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { TextLog } from "../../../../src/stores/memory/text-log.ts";

const units = ["a", "é", "€", "😀", "\0", "\n", "xyz"];
const short = fc.string({ unit: fc.constantFrom(...units), maxLength: 8 });
/** Up to several blocks, with characters of every width at the places where pieces are split. */
const long = fc
  .tuple(fc.constantFrom(...units), fc.integer({ min: 1, max: 9000 }), short)
  .map(([unit, times, tail]) => unit.repeat(times) + tail);
const pieces = fc.array(fc.oneof({ weight: 5, arbitrary: short }, { weight: 1, arbitrary: long }), {
  maxLength: 40,
});

function filled(texts: readonly string[]): TextLog {
  const log = new TextLog();
  for (const text of texts) log.append(text, Buffer.byteLength(text));
  return log;
}

describe("TextLog", () => {
  it("returns any part between two boundaries, before and after it is sealed", () => {
    fc.assert(
      fc.property(pieces, fc.array(fc.nat(), { maxLength: 8 }), fc.boolean(), (texts, picks, sealed) => {
        const log = filled(texts);
        if (sealed) log.seal();
        const whole = Buffer.from(texts.join(""));
        expect(log.length).toBe(whole.length);
        expect(log.read(0)).toBe(whole.toString("utf8"));
        const offsets = [0, log.length, ...picks.map((pick) => log.boundary(pick % (log.length + 2)))];
        for (const from of offsets) {
          for (const to of offsets) {
            expect(log.read(from, to)).toBe(from < to ? whole.toString("utf8", from, to) : "");
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  it("moves an offset back to a character boundary", () => {
    fc.assert(
      fc.property(pieces, fc.nat(), (texts, pick) => {
        const log = filled(texts);
        const whole = Buffer.from(texts.join(""));
        const offset = pick % (whole.length + 3);
        let wanted = Math.min(offset, whole.length);
        while (wanted < whole.length && ((whole[wanted] as number) & 0xc0) === 0x80) wanted--;
        expect(log.boundary(offset)).toBe(wanted);
      }),
      { numRuns: 60 },
    );
  });

  it("can be read incrementally while it grows token by token", () => {
    const log = new TextLog();
    let whole = "";
    let read = "";
    let at = 0;
    for (let index = 0; index < 5000; index++) {
      const token = index % 7 === 0 ? "é😀" : ` tok${index}`;
      log.append(token, Buffer.byteLength(token));
      whole += token;
      if (index % 3 !== 0) continue;
      read += log.read(at);
      at = log.length;
    }
    expect(read + log.read(at)).toBe(whole);
  });
});
