import fc from "../../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { WholeCharacters } from "../../../../src/engine/generation/whole-characters.ts";

/** A detokenizer whose tokens are slices of the bytes of a text. */
function tokenizerOf(pieces: readonly Uint8Array[]) {
  return (tokens: readonly number[]) =>
    new TextDecoder().decode(Buffer.concat(tokens.map((token) => pieces[token] ?? new Uint8Array())));
}

function cut(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let at = 0;
  for (let index = 0; at < bytes.length; index++) {
    const size = sizes[index % sizes.length] ?? 1;
    pieces.push(bytes.subarray(at, at + size));
    at += size;
  }
  return pieces;
}

function run(pieces: readonly Uint8Array[]): { deltas: string[]; tokens: number } {
  const characters = new WholeCharacters(tokenizerOf(pieces), []);
  const results = pieces.map((_, token) => characters.push(token));
  results.push(characters.flush());
  return {
    deltas: results.map((result) => result.text).filter((delta) => delta !== ""),
    tokens: results.reduce((sum, result) => sum + result.tokens, 0),
  };
}

describe("WholeCharacters", () => {
  it("holds a character that arrives byte by byte until it is complete", () => {
    expect(run(cut(Buffer.from("a😀b"), [1])).deltas).toEqual(["a", "😀", "b"]);
  });

  it("releases the text before an incomplete character", () => {
    expect(run(cut(Buffer.from("ab😀"), [3, 3])).deltas).toEqual(["ab", "😀"]);
  });

  it("returns the exact text without replacement characters for any split of its bytes into tokens", () => {
    const text = fc
      .string({ unit: "binary", minLength: 1, maxLength: 20 })
      .filter((value) => !value.includes("\uFFFD"));
    const sizes = fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(text, sizes, (value, cuts) => {
        const whole = value.replace(/^\uFEFF+/, "");
        const pieces = cut(Buffer.from(whole), cuts);
        const { deltas, tokens } = run(pieces);
        expect(deltas.join("")).toBe(whole);
        for (const delta of deltas) expect(delta).not.toContain("\uFFFD");
        expect(tokens).toBe(pieces.length);
      }),
    );
  });

  it("releases stray bytes after four tokens", () => {
    const pieces = Array.from({ length: 6 }, () => Uint8Array.of(0xff));
    const characters = new WholeCharacters(tokenizerOf(pieces), []);
    const texts = pieces.map((_, token) => characters.push(token).text);
    expect(texts.indexOf("\uFFFD\uFFFD\uFFFD\uFFFD")).toBe(3);
    expect(characters.flush().text).toBe("\uFFFD\uFFFD");
  });

  it("returns U+FFFD when the answer ends inside a character", () => {
    expect(run([Uint8Array.of(0x61, 0xf0, 0x9f)]).deltas.join("")).toMatch(/^a\uFFFD+$/);
  });

  it("passes the preceding tokens to the detokenizer", () => {
    const received: (readonly number[])[] = [];
    const characters = new WholeCharacters(
      (tokens, preceding) => {
        received.push(preceding);
        return "x".repeat(tokens.length);
      },
      [1, 2, 3, 4, 5],
    );
    characters.push(6);
    characters.push(7);
    expect(received).toEqual([
      [2, 3, 4, 5],
      [3, 4, 5, 6],
    ]);
  });
});

describe("WholeCharacters of a SentencePiece tokenizer", () => {
  /** Detokenizes as llama.cpp does: without preceding tokens, the first one loses a leading blank. */
  const tokenizer =
    (pieces: readonly string[]) =>
    (tokens: readonly number[], preceding: readonly number[]): string => {
      const textOf = (some: readonly number[]) =>
        some
          .map((token) => pieces[token]?.replaceAll("▁", " ") ?? "")
          .join("")
          .replace(/^ /, "");
      const before = textOf(preceding);
      return before === "" ? textOf(tokens) : textOf([...preceding, ...tokens]).slice(before.length);
    };
  const read = (pieces: readonly string[], preceding: readonly number[] = []): string => {
    const characters = new WholeCharacters(tokenizer(pieces), preceding);
    return [...pieces.keys()].map((token) => characters.push(token).text).join("") + characters.flush().text;
  };

  it.each([
    [["▁Hello", "▁you"], "Hello you"],
    [["Hello", "▁you"], "Hello you"],
    [["▁", "▁", "▁code"], "  code"],
    [["▁", "Hello", "▁you"], "Hello you"],
    [["▁▁▁▁code"], "   code"],
    [["\n", "▁Hello"], "\n Hello"],
  ])("removes only the blank that the tokenizer put before the text: %j", (pieces, expected) => {
    expect(read(pieces)).toBe(expected);
  });

  it("keeps the blank of a text that is continued", () => {
    const characters = new WholeCharacters(tokenizer(["Hello", "▁you"]), [0]);
    expect(characters.push(1).text).toBe(" you");
  });
});
