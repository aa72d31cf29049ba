import { describe, expect, it } from "vitest";
import { reconcile } from "../../../../web/client/reconcile.ts";
import type { Turn } from "../../../../web/client/transcript.ts";

const turn = (text: string, status: Turn["status"], content = "", more: Partial<Turn> = {}): Turn => ({
  kind: "turn",
  id: `id of ${text}`,
  conversation: "c",
  text,
  status,
  content,
  ...more,
});

const history = (pairs: readonly [string, string][], running: readonly string[] = []) => ({
  type: "history" as const,
  conversation: "c",
  turns: pairs.flatMap(([user, assistant]) => [
    { role: "user" as const, content: user },
    { role: "assistant" as const, content: assistant },
  ]),
  running: running.map((id) => ({ answer: `answer to ${id}`, id, length: 5 })),
});

describe("reconcile", () => {
  it("finds the answer that ended while the page was closed", () => {
    const waiting = turn("two", "pending");
    const found = reconcile(
      [turn("one", "done", "1"), waiting],
      history([
        ["one", "1"],
        ["two", "2"],
      ]),
    );
    expect(found).toEqual({ finished: [{ turn: waiting, content: "2" }], missing: [], running: [] });
  });

  it("knows an answer without text", () => {
    const found = reconcile(
      [turn("one", "done", "1"), turn("two", "done")],
      history([
        ["one", "1"],
        ["two", ""],
      ]),
    );
    expect(found.missing).toEqual([]);
  });

  it("does not finish a pending turn by an older answer to the same text", () => {
    const turns = [turn("hi", "done", "1"), turn("hi", "pending")];
    expect(reconcile(turns, history([["hi", "1"]])).finished).toEqual([]);
    const both = history([
      ["hi", "1"],
      ["hi", "2"],
    ]);
    expect(reconcile(turns, both).finished).toMatchObject([{ content: "2" }]);
  });

  it("keeps a turn pending while its answer is running", () => {
    const turns = [turn("hi", "pending", "par")];
    expect(reconcile(turns, history([], ["id of hi"]))).toEqual({ finished: [], missing: [], running: [] });
  });

  it("finds the turns and the running answers of another page", () => {
    const turns = [turn("one", "done", "1"), turn("mine", "pending")];
    const found = reconcile(
      turns,
      history(
        [
          ["one", "1"],
          ["theirs", "t"],
        ],
        ["id of mine", "other"],
      ),
    );
    expect(found).toEqual({
      finished: [],
      missing: [{ text: "theirs", content: "t" }],
      running: [{ answer: "answer to other", id: "other", length: 5 }],
    });
  });

  it("takes the whole history if the page has no turns", () => {
    expect(
      reconcile(
        [],
        history([
          ["one", "1"],
          ["two", "2"],
        ]),
      ).missing,
    ).toHaveLength(2);
  });

  it("takes nothing if there is no common turn, as after a cleared history", () => {
    const turns = [turn("one", "done", "1")];
    expect(reconcile(turns, history([["other", "x"]])).missing).toEqual([]);
    expect(reconcile(turns, history([]))).toEqual({ finished: [], missing: [], running: [] });
  });

  it("skips commands, which no history contains, and matches chat text with a leading `//`", () => {
    const chat = turn("//hello", "pending");
    const turns = [
      turn("one", "done", "1"),
      turn("/help", "done", "", { command: "help", result: { status: "success" } }),
      turn("/summarize", "pending"),
      chat,
    ];
    const found = reconcile(
      turns,
      history([
        ["one", "1"],
        ["/hello", "2"],
      ]),
    );
    expect(found.finished).toEqual([{ turn: chat, content: "2" }]);
    expect(found.missing).toEqual([]);
  });
});
