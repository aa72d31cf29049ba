import fc from "../../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { WireEncoder } from "../../../../src/transport/uws/wire-encoder.ts";

const encoder = new WireEncoder();
const bytesOf = (text: string, head?: Uint8Array): Buffer => Buffer.from(encoder.encode(text, head));
/** Arbitrary UTF-16 code units, including lone surrogates. */
const anyText = fc.string({ unit: "binary", maxLength: 200 });

describe("the encoded bytes of a text", () => {
  it("are its UTF-8, with or without a head", () => {
    fc.assert(
      fc.property(anyText, anyText, (head, text) => {
        expect(bytesOf(text)).toEqual(Buffer.from(text));
        expect(bytesOf(text, Buffer.from(head))).toEqual(
          Buffer.concat([Buffer.from(head), Buffer.from(text)]),
        );
      }),
    );
  });

  it("contain U+FFFD in place of a lone surrogate", () => {
    expect(bytesOf("a\uD800b\uDC00").toString()).toBe("a\uFFFDb\uFFFD");
  });

  // encodeInto stops at the end of its buffer without an error.
  it.each([0, 1, 4095, 4096, 4097, 21_844, 21_845, 21_846, 65_535, 65_536, 65_537, 4_194_304])(
    "are complete for %i characters of one, two, three and four bytes",
    (length) => {
      const head = Buffer.from('{"content":');
      for (const char of ["x", "é", "你", "😀"]) {
        const text = char.repeat(length);
        expect(bytesOf(text).equals(Buffer.from(text))).toBe(true);
        expect(bytesOf(text, head).equals(Buffer.concat([head, Buffer.from(text)]))).toBe(true);
      }
    },
  );

  it("are returned unchanged if they were bytes already", () => {
    const pong = Buffer.from('{"type":"pong"}');
    expect(encoder.encode(pong)).toBe(pong);
    expect(Buffer.from(encoder.encode(pong, pong))).toEqual(Buffer.concat([pong, pong]));
  });

  it("share one view of the buffer for short texts of equal length", () => {
    expect(encoder.encode("first")).toBe(encoder.encode("again"));
  });
});

describe("the encoded bytes of a close reason", () => {
  it("are its UTF-8 up to 123 bytes", () => {
    for (const text of [
      "",
      "the server is shutting down",
      "é".repeat(61),
      "x".repeat(123),
      "x" + "é".repeat(61),
    ]) {
      expect(Buffer.from(encoder.closeReason(text)).toString()).toBe(text);
    }
  });

  it("are truncated at a character boundary, with an ellipsis, if the text is longer", () => {
    expect(Buffer.from(encoder.closeReason("é".repeat(80))).toString()).toBe(`${"é".repeat(60)}…`);
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", minLength: 50, maxLength: 300 }), (text) => {
        const bytes = Buffer.from(encoder.closeReason(text));
        expect(bytes.length).toBeLessThanOrEqual(123);
        // Throws if a character was split.
        const cut = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
        expect(text.startsWith(cut) || text.startsWith(cut.slice(0, -1))).toBe(true);
        if (cut !== text) expect(bytes.length).toBeGreaterThan(119);
      }),
    );
  });
});
