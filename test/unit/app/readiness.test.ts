import { describe, expect, it } from "vitest";
import { readiness } from "../../../src/app/readiness.ts";
import type { ChatProvider } from "../../../src/providers/provider.ts";
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

describe("readiness", () => {
  const chainIn = (ready: boolean, reason: string) => ({
    name: "local" as const,
    ready,
    describe: () => ({ model: "scripted", contextTokens: 512 }),
    status: () => [
      {
        name: "local",
        state: ready ? ("ready" as const) : ("degraded" as const),
        breaker: "closed" as const,
        reason,
      },
    ],
  });

  it("is taken from the chain, with the reason of the first provider that is not ready", () => {
    expect(readiness(selection(), chainIn(true, ""), false)).toMatchObject({
      ready: true,
      reason: "",
      provider: "local",
      model: "scripted",
      providers: [{ name: "local", state: "ready", breaker: "closed", reason: "" }],
    });
    expect(readiness(selection(), chainIn(false, "it is down"), false)).toMatchObject({
      ready: false,
      reason: "it is down",
    });
  });

  it("is false during a drain and without a provider", () => {
    expect(readiness(selection(), chainIn(true, ""), true)).toMatchObject({
      ready: false,
      reason: "the server is shutting down",
    });
    expect(readiness(noProvider, null, false)).toEqual({
      ready: false,
      reason: noProvider.remedy,
      provider: null,
      model: null,
      providers: [],
    });
  });
});
