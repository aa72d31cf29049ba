import { describe, expect, it } from "vitest";
import { announceHealth } from "../../../src/app/health-notices.ts";
import type { ProviderHealth } from "../../../src/providers/provider.ts";

describe("health notices", () => {
  const noticesFor = (states: ProviderHealth["state"][]): string[] => {
    const notices: string[] = [];
    let emit = (_health: ProviderHealth): void => {};
    const stop = announceHealth(
      { name: "local", onHealthChange: (listener) => ((emit = listener), () => (emit = () => {})) },
      (event, message) => notices.push(`${event}: ${message}`),
    );
    for (const state of states) emit({ state, reason: state === "ready" ? "" : "It crashed five times." });
    stop();
    emit({ state: "degraded", reason: "after the end" });
    return notices;
  };

  it("are not sent for a short restart", () => {
    expect(noticesFor(["starting", "ready", "starting", "ready"])).toEqual([]);
  });

  it("announce a crash loop once and the recovery once, without the reason", () => {
    expect(noticesFor(["starting", "degraded", "starting", "degraded", "ready", "ready"])).toEqual([
      "provider_degraded: The local provider is temporarily unavailable.",
      "provider_recovered: The local provider is available again.",
    ]);
  });

  it("are not sent for a provider without health events", () => {
    expect(() => announceHealth({ name: "openai" }, () => {})()).not.toThrow();
  });
});
