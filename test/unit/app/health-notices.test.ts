import { describe, expect, it } from "vitest";
import { announceHealth } from "../../../src/app/health-notices.ts";
import type { ProviderHealth } from "../../../src/providers/provider.ts";

describe("news of the provider's health", () => {
  const follow = (states: ProviderHealth["state"][]): string[] => {
    const news: string[] = [];
    let tell = (_health: ProviderHealth): void => {};
    const stop = announceHealth(
      { name: "local", onHealthChange: (listener) => ((tell = listener), () => (tell = () => {})) },
      (event, message) => news.push(`${event}: ${message}`),
    );
    for (const state of states) tell({ state, reason: state === "ready" ? "" : "It died five times." });
    stop();
    tell({ state: "degraded", reason: "after the end" });
    return news;
  };

  it("is silent about a short restart", () => {
    expect(follow(["starting", "ready", "starting", "ready"])).toEqual([]);
  });

  it("tells a crash loop once, and the recovery once", () => {
    expect(follow(["starting", "degraded", "starting", "degraded", "ready", "ready"])).toEqual([
      "provider_degraded: The local provider cannot answer for now. It died five times.",
      "provider_recovered: The local provider answers again.",
    ]);
  });

  it("has nothing to follow where a provider cannot tell", () => {
    expect(() => announceHealth({ name: "openai" }, () => {})()).not.toThrow();
  });
});
