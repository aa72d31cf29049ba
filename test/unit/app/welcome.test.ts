import { describe, expect, it } from "vitest";
import { welcomeFor } from "../../../src/app/welcome.ts";
import type { ChatProvider, ProviderHealth } from "../../../src/providers/provider.ts";
import type { Selection } from "../../../src/providers/select-provider.ts";
import { ScriptedProvider } from "../../support/scripted-provider.ts";

const provider: ChatProvider = new ScriptedProvider();

function selection(changes: Partial<Selection> = {}): Selection {
  return { provider, order: ["local"], links: [], skipped: [], textMayLeave: false, remedy: "", ...changes };
}

const nothing = selection({ provider: null, order: [], remedy: "No provider could be started. Set a key." });

/** The provider with another name or health. */
function like(changes: { name?: ChatProvider["name"]; health?: ProviderHealth }): ChatProvider {
  return Object.assign(new ScriptedProvider(), {
    ...(changes.name !== undefined && { name: changes.name }),
    ...(changes.health !== undefined && { health: () => changes.health }),
  }) as ChatProvider;
}

describe("the welcome", () => {
  it("says who answers, that the text stays here, and how to go on", () => {
    expect(welcomeFor(selection())).toEqual({
      message:
        "Welcome. You are talking to scripted (local). Your text stays on this machine. /help lists the commands.",
      provider: "local",
      model: "scripted",
      textMayLeave: false,
    });
  });

  it("says that the text may leave", () => {
    const greeting = welcomeFor(selection({ provider: like({ name: "openai" }), textMayLeave: true }));
    expect(greeting.message).toContain("Your text may be sent to a service outside this machine.");
    expect(greeting.textMayLeave).toBe(true);
  });

  it("names providers that could not start, as a sentence each, however the reason ends", () => {
    const skipped = [
      { name: "local", reason: "there is no model in models/" },
      { name: "huggingface", reason: "HF_API_KEY is not set." },
    ] as const;
    expect(welcomeFor(selection({ skipped })).message).toContain(
      "local could not start: there is no model in models/. huggingface could not start: HF_API_KEY is not set. Your",
    );
  });

  it("says of echo what it is", () => {
    const { message } = welcomeFor(selection({ provider: like({ name: "echo" }) }));
    expect(message).toContain("repeats what you say");
    expect(message).not.toContain("stays");
  });

  it("says what to do where nothing can answer", () => {
    expect(welcomeFor(nothing)).toEqual({
      message: "Welcome. Nothing can answer yet. No provider could be started. Set a key.",
      provider: null,
      model: null,
      textMayLeave: false,
    });
  });
});
