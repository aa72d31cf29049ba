import { describe, expect, it } from "vitest";
import type { CommandContext } from "../../../src/chat/commands/command.ts";
import { setContext } from "../../../src/chat/commands/set-context.ts";
import { ServiceError } from "../../../src/core/errors.ts";

function contextOf(text: string, refusal?: ServiceError) {
  const prepared: string[] = [];
  const steps: string[] = [];
  const context: Partial<CommandContext> = {
    args: new Map([["text", text]]),
    owner: { authenticated: true, client: "sub:a", publicId: "a", accountKey: "sub:a" },
    store: {
      setContext: () => (refusal ? Promise.reject(refusal) : Promise.resolve()),
    } as unknown as CommandContext["store"],
    systemPrompt: "",
    maxTokens: 100,
    maxOutputTokens: 100,
    windowTokens: 1000,
    countTokens: (counted) => Promise.resolve(counted.length),
    prepare: (context_) => {
      steps.push("prepare");
      prepared.push(context_);
    },
    forget: (all) => steps.push(`forget ${all ? "all" : "this"}`),
  };
  return { context: context as CommandContext, prepared, steps };
}

describe("/setcontext", () => {
  it("lets the provider drop cached state of the previous context and prepare for the new one", async () => {
    const { context, prepared, steps } = contextOf("I like water.");
    expect((await setContext.run(context)).result).toMatchObject({ status: "success", tokens: 13 });
    expect(prepared).toEqual(["I like water."]);
    expect(steps).toEqual(["forget all", "prepare"]);
  });

  it.each([
    ["empty", " ", undefined],
    ["too long", "x".repeat(900), undefined],
    ["over the budget", "x", new ServiceError("context_refused", "full")],
  ])("does not touch the provider when the context is refused: %s", async (_, text, refusal) => {
    const { context, steps } = contextOf(text, refusal);
    expect((await setContext.run(context)).result).toMatchObject({ status: "error" });
    expect(steps).toEqual([]);
  });
});
