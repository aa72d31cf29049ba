import { describe, expect, it } from "vitest";
import type { CommandContext } from "../../../src/chat/commands/command.ts";
import { setContext } from "../../../src/chat/commands/set-context.ts";
import { ServiceError } from "../../../src/core/errors.ts";

function contextOf(text: string, refusal?: ServiceError) {
  const prepared: string[] = [];
  const context: Partial<CommandContext> = {
    args: new Map([["text", text]]),
    owner: { authenticated: true, client: "sub:a", publicId: "a", charge: "sub:a" },
    store: {
      setContext: () => (refusal ? Promise.reject(refusal) : Promise.resolve()),
    } as unknown as CommandContext["store"],
    systemPrompt: "",
    maxTokens: 100,
    maxOutputTokens: 100,
    windowTokens: 1000,
    countTokens: (counted) => Promise.resolve(counted.length),
    prepare: (context_) => prepared.push(context_),
  };
  return { context: context as CommandContext, prepared };
}

describe("/setcontext", () => {
  it("lets the back end get ready for the new context", async () => {
    const { context, prepared } = contextOf("I like water.");
    expect((await setContext.run(context)).result).toMatchObject({ status: "success", tokens: 13 });
    expect(prepared).toEqual(["I like water."]);
  });

  it.each([
    ["empty", " ", undefined],
    ["too long", "x".repeat(900), undefined],
    ["over the budget", "x", new ServiceError("context_refused", "full")],
  ])("prepares nothing that was refused: %s", async (_, text, refusal) => {
    const { context, prepared } = contextOf(text, refusal);
    expect((await setContext.run(context)).result).toMatchObject({ status: "error" });
    expect(prepared).toEqual([]);
  });
});
