import { describe, expect, it } from "vitest";
import { answerOf, chatRequest, textOf } from "../support/chat-request.ts";
import type { ProviderUnderTest } from "./provider-contract.ts";
import { partsOf, type SeenPart } from "../support/parts-of.ts";

/** Contract of the context window, for every provider with a model (echo has none). */
export function windowContract(name: string, make: () => Promise<ProviderUnderTest>): void {
  describe(`the context window of ${name}`, () => {
    it("refuses a prompt that does not fit before processing it, and answers the next one", async () => {
      const { provider, close } = await make();
      try {
        const message = "word ".repeat(provider.describe().contextTokens);
        const parts: SeenPart[] = [];
        const read = async () => {
          for await (const part of partsOf(provider, chatRequest(message))) parts.push(part);
        };
        await expect(read()).rejects.toMatchObject({
          code: "prompt_too_long",
          provider: provider.name,
          retryable: false,
        });
        expect(textOf(parts)).toBe("");
        expect((await answerOf(provider, chatRequest("Hello"))).at(-1)?.type).toBe("finish");
        expect(provider.health()).toEqual({ state: "ready", reason: "" });
      } finally {
        await provider.close();
        await close?.();
      }
    });
  });
}
