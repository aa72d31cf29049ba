import { describe, expect, it } from "vitest";
import { OverlapGate, WholeGate, overlap } from "../../../../src/providers/chain/text-gates.ts";

const piece = (text: string, tokens = 1) => ({ type: "text-delta", text, tokens }) as const;

/** Text and tokens that a gate passes on in total. */
function through(before: string, pieces: readonly string[]) {
  const gate = new OverlapGate(before);
  let text = "";
  let tokens = 0;
  for (const each of pieces) {
    const out = gate.push(piece(each));
    text += out?.text ?? "";
    tokens += out?.tokens ?? 0;
  }
  const rest = gate.end();
  return { text: text + (rest?.text ?? ""), tokens: tokens + (rest?.tokens ?? 0) };
}

describe("the overlap of two texts", () => {
  it.each([
    ["abcdef", "defghi", 3],
    ["aaaa", "aaab", 3],
    ["abc", "xyz", 0],
    ["", "abc", 0],
    ["abc", "abc", 3],
    ["x\u{1f600}", "\u{1f600}y", 2],
  ])("of %j and %j has the maximum length %i", (before, after, length) => {
    expect(overlap(before, after)).toBe(length);
  });
});

describe("the overlap gate", () => {
  it("removes a repetition of at least 12 characters and keeps a shorter one", () => {
    expect(through("He said: hello, world", ["hello, world", " again"])).toEqual({
      text: " again",
      tokens: 2,
    });
    expect(through("He said: hello worl", ["hello worl", "d"])).toEqual({ text: "hello world", tokens: 2 });
  });

  it("holds 200 characters and then passes text on directly", () => {
    const gate = new OverlapGate("before");
    expect(gate.push(piece("x".repeat(199)))).toBeNull();
    expect(gate.heldTokens).toBe(1);
    expect(gate.push(piece("y"))).toEqual(piece(`${"x".repeat(199)}y`, 2));
    expect(gate.push(piece("z"))).toEqual(piece("z"));
    expect([gate.heldTokens, gate.end()]).toEqual([0, null]);
  });

  it("accepts a continuation that is only a repetition or empty", () => {
    expect(through("all of it was said", ["all of it was said"])).toEqual({ text: "", tokens: 1 });
    expect(through("all of it was said", [])).toEqual({ text: "", tokens: 0 });
  });

  it("passes on text that was counted before", () => {
    for (const gate of [new OverlapGate("before"), new WholeGate()]) {
      expect(gate.push(piece("text", 0))).toBeNull();
      expect(gate.end()).toEqual(piece("text", 0));
    }
  });

  it("removes a repetition across pieces of up to 200 characters", () => {
    const end = "0123456789".repeat(20);
    expect(through(`long before ${end}`, [end.slice(0, 50), `${end.slice(50)} new`]).text).toBe(" new");
  });
});

describe("the whole-answer gate", () => {
  it("releases the held text at the end of the answer", () => {
    const gate = new WholeGate();
    expect(gate.push(piece("{", 2))).toBeNull();
    expect(gate.push(piece("}"))).toBeNull();
    expect(gate.heldTokens).toBe(3);
    expect(gate.end()).toEqual(piece("{}", 3));
    expect(gate.end()).toBeNull();
  });
});
