import { describe, expect, it } from "vitest";
import { welcomeFor } from "../../../src/app/welcome.ts";
import type { ChatProvider, ProviderHealth } from "../../../src/providers/provider.ts";
import type { Selection } from "../../../src/providers/select-provider.ts";
import { ScriptedProvider } from "../../support/scripted-provider.ts";

const provider: ChatProvider = new ScriptedProvider();

function selection(changes: Partial<Selection> = {}): Selection {
  return { provider, order: ["local"], links: [], skipped: [], textMayLeave: false, remedy: "", ...changes };
}

const noProvider = selection({
  provider: null,
  order: [],
  remedy: "No provider could be started. Set a key.",
});

/** A scripted provider with another name or health. */
function providerWith(changes: { name?: ChatProvider["name"]; health?: ProviderHealth }): ChatProvider {
  return Object.assign(new ScriptedProvider(), {
    ...(changes.name !== undefined && { name: changes.name }),
    ...(changes.health !== undefined && { health: () => changes.health }),
  }) as ChatProvider;
}

describe("the welcome", () => {
  it("names the model and provider, states that text stays on this machine, and points to /help", () => {
    expect(welcomeFor(selection())).toEqual({
      message:
        "Welcome. You are talking to scripted (local). Your text stays on this machine. /help lists the commands.",
      provider: "local",
      model: "scripted",
      textMayLeave: false,
    });
  });

  it("states that text may leave this machine", () => {
    const welcome = welcomeFor(selection({ provider: providerWith({ name: "openai" }), textMayLeave: true }));
    expect(welcome.message).toContain("Your text may be sent to a service outside this machine.");
    expect(welcome.textMayLeave).toBe(true);
  });

  it("does not repeat why a provider could not start", () => {
    const skipped = [{ name: "local", reason: "there is no model in models/; set MODEL_PATH" }] as const;
    expect(welcomeFor(selection({ skipped }))).toEqual(welcomeFor(selection()));
  });

  it("explains the echo provider", () => {
    const { message } = welcomeFor(selection({ provider: providerWith({ name: "echo" }) }));
    expect(message).toContain("repeats what you say");
    expect(message).not.toContain("stays");
  });

  it("states that nothing can answer, and where the operator finds the reason", () => {
    expect(welcomeFor(noProvider)).toEqual({
      message:
        "Welcome. No AI service is available right now. The operator can find the reason in the server's log.",
      provider: null,
      model: null,
      textMayLeave: false,
    });
  });
});
