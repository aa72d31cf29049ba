import { describe, expect, it } from "vitest";
import type { PreparedRequest } from "../../../../src/engine/ports.ts";
import { RequestState } from "../../../../src/engine/generation/request-state.ts";
import { preparedRequest, recordedEvents } from "../../../support/fake-sequence.ts";

const words = ["Hello", " ", "world", "</", "end>", "\n", "{}"];
const detokenize = (tokens: readonly number[]) => tokens.map((token) => words[token] ?? "?").join("");

function run(changes: Partial<PreparedRequest>, tokens: readonly (number | "end")[]) {
  const events = recordedEvents();
  const request = new RequestState(preparedRequest(3, changes), events, detokenize);
  const ended = tokens.map((token) => (token === "end" ? request.end() : request.accept(token)));
  return { lines: events.lines, text: events.text(), ended };
}

describe("RequestState", () => {
  it("emits the text of each token and ends when the model ends the answer", () => {
    expect(run({}, [0, 1, 2, "end"]).lines).toEqual([
      "delta Hello 1",
      "delta   1",
      "delta world 1",
      "finished stop 3 3 0",
    ]);
  });

  it("ends with `length` at the token limit and emits the held text", () => {
    expect(run({ maxTokens: 2, stop: ["</end>"] }, [0, 3]).lines).toEqual([
      "delta Hello 1",
      "delta </ 1",
      "finished length 3 2 0",
    ]);
  });

  it("ends before a stop text that spans two tokens", () => {
    const { lines, ended } = run({ stop: ["</end>"] }, [0, 3, 4]);
    expect(lines).toEqual(["delta Hello 1", "finished stop 3 3 0"]);
    expect(ended).toEqual([false, false, true]);
  });

  it("ends at a stop token without emitting its text", () => {
    expect(run({ stopTokens: new Set([2]) }, [0, 2]).lines).toEqual(["delta Hello 1", "finished stop 3 1 0"]);
  });

  it("drops white space at the end of the answer only with `trimEnd`", () => {
    expect(run({ trimEnd: true }, [6, 5, 6, 5, 5, "end"]).text).toBe("{}\n{}");
    expect(run({}, [6, 5, "end"]).text).toBe("{}\n");
  });

  it("counts the tokens of held text when the text is released", () => {
    expect(run({ stop: ["</x"] }, [3, 4, "end"]).lines).toEqual(["delta </end> 2", "finished stop 3 2 0"]);
  });

  it("emits reasoning apart from the text, and looks for stop texts in the text only", () => {
    const script = ["<think>", "a", "</end>", "</th", "ink>", "\n", "b", "</end>"];
    const events = recordedEvents();
    const prepared = preparedRequest(3, { promptEnd: "", stop: ["</end>"], maxTokens: 20 });
    const request = new RequestState(prepared, events, (tokens) =>
      tokens.map((token) => script[token]).join(""),
    );
    expect(script.map((_, token) => request.accept(token))).toEqual([...Array(7).fill(false), true]);
    expect(events.lines).toEqual(["reasoning a 2", "reasoning </end> 1", "delta b 4", "finished stop 3 8 0"]);
    expect(events.reasoningTokens()).toBe(3);
  });

  it("emits reasoning again as text if it was the answer, and counts none then", () => {
    const script = ["Here's my thought process:", " a", " b"];
    const events = recordedEvents();
    const prepared = preparedRequest(3, { promptEnd: "", maxTokens: 20 });
    const request = new RequestState(prepared, events, (tokens) =>
      tokens.map((token) => script[token]).join(""),
    );
    for (const token of script.keys()) request.accept(token);
    request.end();
    expect(events.lines).toEqual([
      "reasoning a 2",
      "reasoning  b 1",
      "delta Here's my thought process: a b 0",
      "finished stop 3 3 0",
    ]);
    expect(events.reasoningTokens()).toBeUndefined();
  });

  it("begins within the reasoning that the prompt opened, and counts it in the limit", () => {
    const events = recordedEvents();
    const prepared = preparedRequest(3, { promptEnd: "<|im_start|>assistant\n<think>\n", maxTokens: 2 });
    const request = new RequestState(prepared, events, detokenize);
    expect([request.accept(0), request.accept(3)]).toEqual([false, true]);
    expect(events.lines).toEqual(["reasoning Hello 1", "reasoning </ 1", "finished length 3 2 0"]);
  });

  it("returns any range of the tokens of prompt and answer", () => {
    const prepared = preparedRequest(3);
    const request = new RequestState(prepared, recordedEvents(), detokenize);
    request.accept(0);
    request.accept(1);
    const [a, b, c] = prepared.tokens;
    expect(request.tokens()).toEqual([a, b, c, 0, 1]);
    expect(request.tokens(1, 4)).toEqual([b, c, 0]);
    expect(request.tokens(4)).toEqual([1]);
    expect(request.tokens(0, 2)).toEqual([a, b]);
  });
});
