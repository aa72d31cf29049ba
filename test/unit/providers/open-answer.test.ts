import { describe, expect, it } from "vitest";
import { Stopper } from "../../../src/core/stop-signal.ts";
import { OpenAnswer } from "../../../src/providers/open-answer.ts";
import type { StreamPart } from "../../../src/providers/provider.ts";

const delta = (text: string): StreamPart => ({ type: "text-delta", text, tokens: 1 });
const finish = {
  reason: "stop",
  usage: { promptTokens: 1, completionTokens: 1, cachedTokens: 0 },
} as const;

function open(onPart?: (part: StreamPart) => void) {
  const signal = new Stopper();
  const parts: StreamPart[] = [];
  const answer = new OpenAnswer({ signal, onPart: onPart ?? ((part) => void parts.push(part)) });
  return { signal, parts, answer };
}

describe("an open answer", () => {
  it("delivers parts as they arrive and resolves at its end", async () => {
    const { parts, answer } = open();
    answer.part(delta("a"));
    answer.part(delta("b"));
    expect(parts).toEqual([delta("a"), delta("b")]);
    answer.finish(finish);
    expect(await answer.whole).toEqual(finish);
  });

  it("ends once and drops later events", async () => {
    const { signal, parts, answer } = open();
    answer.fail(new Error("first"));
    answer.finish(finish);
    answer.part(delta("late"));
    signal.abort(new Error("later"));
    await expect(answer.whole).rejects.toThrow("first");
    expect(parts).toEqual([]);
    expect(answer.ended).toBe(true);
  });

  it("ends with the reason of its signal, also if its reader aborts it", async () => {
    const signal = new Stopper();
    const parts: StreamPart[] = [];
    const answer = new OpenAnswer({
      signal,
      onPart: (part) => {
        parts.push(part);
        signal.abort("enough");
      },
    });
    answer.part(delta("a"));
    answer.part(delta("b"));
    await expect(answer.whole).rejects.toBe("enough");
    expect(parts).toEqual([delta("a")]);
  });

  it("ends with the error its reader throws, without throwing from part()", async () => {
    const { answer } = open(() => {
      throw new Error("a fault of the reader");
    });
    answer.part(delta("a"));
    await expect(answer.whole).rejects.toThrow("a fault of the reader");
  });

  it("is not created with an aborted signal", () => {
    const signal = new Stopper();
    signal.abort(new Error("before"));
    expect(() => new OpenAnswer({ signal, onPart: () => {} })).toThrow("before");
  });
});
