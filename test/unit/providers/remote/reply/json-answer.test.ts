import { describe, expect, it } from "vitest";
import { jsonOf } from "../../../../../src/providers/remote/reply/json-answer.ts";

describe("JSON in an answer", () => {
  it.each([
    ['{"a":1}', '{"a":1}'],
    ['  {"a":1}\n', '{"a":1}'],
    ['```json\n{"a":1}\n```', '{"a":1}'],
    ["```\n[1]\n```", "[1]"],
    ['```{"a":1}```', '{"a":1}'],
    ['Sure! Here it is: {"a":{"b":2}} I hope it helps.', '{"a":{"b":2}}'],
    ['"text"', '"text"'],
    ['Hm. {"b":2}\n</think>\n\n{"a":1}', '{"a":1}'],
    ['{"a":"</think>"}', '{"a":"</think>"}'],
  ])("is found in %j", (answer, json) => {
    expect(jsonOf(answer)).toBe(json);
  });

  it.each(["", "no", '{"a":', "} {", "```json\n```"])("is not found in %j", (answer) => {
    expect(jsonOf(answer)).toBeNull();
  });

  it.each(["```\n", "```json \n\t"])("is looked for in linear time: %j", (unit) => {
    // A pattern with three unbounded repetitions takes hours for these.
    expect(jsonOf(`${unit.padEnd(50_000, "\n")}x`)).toBeNull();
    expect(jsonOf(`${unit.padEnd(50_000, "\n")}x\n\`\`\``)).toBeNull();
  });
});
