import { describe, expect, it } from "vitest";
import type { Turn } from "../../../src/core/fit-prompt.ts";
import { promptTurns } from "../../../src/chat/prompt-turns.ts";

const user = (content: string): Turn => ({ role: "user", content });
const assistant = (content: string): Turn => ({ role: "assistant", content });

describe("promptTurns", () => {
  it("returns a history without empty answers as it is", () => {
    const turns = [user("a"), assistant("b"), user("c")];
    expect(promptTurns(turns, 2048)).toBe(turns);
  });

  it("leaves out answers without text and joins the messages around them, so that roles alternate", () => {
    expect(
      promptTurns(
        [user("a"), assistant(""), user("b"), assistant(" \n"), user("c"), assistant("d"), user("e")],
        2048,
      ),
    ).toEqual([user("a\n\nb\n\nc"), assistant("d"), user("e")]);
  });

  it("leaves out messages without an answer that would make the new one too long for the window", () => {
    const long = "word ".repeat(600);
    const turns = [user(long), assistant(""), user(long), assistant(""), user("b"), assistant(""), user("c")];
    expect(promptTurns(turns, 2048)).toEqual([user("b\n\nc")]);
    expect(promptTurns(turns.slice(0, 3), 2048)).toEqual([user(long)]);
  });
});
