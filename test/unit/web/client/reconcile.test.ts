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

describe("a page's turns beside the server's history", () => {
  it("take the answer that ended while the page was away", () => {
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

  it("are not finished by an older answer to the same words", () => {
    const turns = [turn("hi", "done", "1"), turn("hi", "pending")];
    expect(reconcile(turns, history([["hi", "1"]])).finished).toEqual([]);
    const both = history([
      ["hi", "1"],
      ["hi", "2"],
    ]);
    expect(reconcile(turns, both).finished).toMatchObject([{ content: "2" }]);
  });

  it("go on waiting while their answer runs", () => {
    const turns = [turn("hi", "pending", "par")];
    expect(reconcile(turns, history([], ["id of hi"]))).toEqual({ finished: [], missing: [], running: [] });
  });

  it("are joined by those of another page, before what still waits", () => {
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

  it("are all of the history where the page had none", () => {
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

  it("take nothing over when they have no turn in common: the history was cut or cleared", () => {
    const turns = [turn("one", "done", "1")];
    expect(reconcile(turns, history([["other", "x"]])).missing).toEqual([]);
    expect(reconcile(turns, history([]))).toEqual({ finished: [], missing: [], running: [] });
  });

  it("pass over commands, which no history holds, and know text behind a doubled slash", () => {
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
