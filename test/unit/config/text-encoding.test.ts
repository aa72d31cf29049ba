import { describe, expect, it } from "vitest";
import fc from "../../support/property-tests.ts";
import { encodingFault } from "../../../src/config/text-encoding.ts";

const TEXT = '# Grüße\nPORT=8001\nSYSTEM_PROMPT="Sei nett"\n';

function bigEndian(text: string): Buffer {
  return Buffer.from(text, "utf16le").swap16();
}

describe("encodingFault", () => {
  it.each([
    ["UTF-16 with a mark", Buffer.from(`\uFEFF${TEXT}`, "utf16le"), "UTF-16 (little endian)"],
    ["UTF-16 with a mark, big endian", bigEndian(`\uFEFF${TEXT}`), "UTF-16 (big endian)"],
    ["UTF-16 without a mark", Buffer.from(TEXT, "utf16le"), "UTF-16 (little endian, without"],
    ["UTF-16 without a mark, big endian", bigEndian(TEXT), "UTF-16 (big endian, without"],
    [
      "an odd number of bytes",
      Buffer.from(TEXT, "utf16le").subarray(0, -1),
      "UTF-16 (little endian, without",
    ],
    ["a short file", Buffer.from("A=1", "utf16le"), "UTF-16 (little endian, without"],
    [
      "comments in another script",
      Buffer.from(`# ${"Привет, мир. ".repeat(9)}\n${TEXT}`, "utf16le"),
      "UTF-16",
    ],
    ["UTF-32", Buffer.from([0xff, 0xfe, 0, 0, 0x41, 0, 0, 0]), "UTF-32"],
    ["Latin-1", Buffer.from(TEXT, "latin1"), "probably in Latin-1 or Windows-1252 (line 1)"],
    ["Latin-1 further down", Buffer.from("A=1\r\nB=é", "latin1"), "(line 2)"],
  ])("names %s", (_, bytes, expected) => {
    expect(encodingFault(bytes)).toContain(expected);
    expect(encodingFault(bytes)).toMatch(/; save it as UTF-8$/);
  });

  it("accepts every text in UTF-8, with or without a mark", () => {
    const text = fc.string({ unit: "binary", size: "max", maxLength: 400 });
    fc.assert(
      fc.property(text, fc.boolean(), (some, mark) => {
        const bytes = Buffer.from(`${mark ? "\uFEFF" : ""}${some.replaceAll("\0", "x")}`);
        expect(encodingFault(bytes)).toBeUndefined();
      }),
    );
    expect(encodingFault(Buffer.from("A=1\nB=a\0b\n# a long line of a file\n"))).toBeUndefined();
  });
});
