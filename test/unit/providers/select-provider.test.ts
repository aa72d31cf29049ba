import { inspect } from "node:util";
import { afterEach, describe, expect, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { silentLogger } from "../../../src/core/logger.ts";
import { createEchoProvider } from "../../../src/providers/echo/echo-provider.ts";
import { ProviderError } from "../../../src/providers/provider-error.ts";
import type { ChatProvider } from "../../../src/providers/provider.ts";
import {
  providerCandidates,
  providerOrder,
  selectProvider,
  type Candidate,
  type ProviderSettings,
} from "../../../src/providers/select-provider.ts";

const key = "sk-never-to-be-seen";
const settings: ProviderSettings = {
  AI_MODEL: "gpt-4",
  OPENAI_API_KEY: undefined,
  OPENAI_BASE_URL: undefined,
  OPENAI_CONTEXT_TOKENS: 8192,
  HF_API_KEY: undefined,
  HF_MODEL: "TinyLlama/TinyLlama-1.1B-Chat-v1.0",
  HF_BASE_URL: undefined,
  HF_CONTEXT_TOKENS: 2048,
  ECHO_TOKEN_MS: 0,
  ECHO_SLOTS: 0,
  LOCAL_QUEUE_LIMIT: 4096,
  ECHO_ANSWER_BYTES: 0,
};
const noModel: Candidate = { reason: "there is no model in models/" };
/** Stand-in for the local provider; only its identity matters. */
const localProvider = createEchoProvider({ tokenMs: 0, slots: 0, answerBytes: 0 }, systemClock);
const localModel: Candidate = { remote: false, start: () => Promise.resolve(localProvider) };

interface Case {
  readonly chosen: ChatProvider["name"];
  readonly fallback?: readonly string[];
  readonly local?: Candidate;
  readonly changes?: Partial<ProviderSettings>;
}

const started: ChatProvider[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((provider) => provider.close()));
});

async function select({ chosen, fallback, local = localModel, changes = {} }: Case) {
  const all = { ...settings, ...changes };
  const selection = await selectProvider({
    chosen,
    fallback,
    openAiHasKey: all.OPENAI_API_KEY !== undefined,
    candidates: providerCandidates(all, local, { clock: systemClock, logger: silentLogger }),
    logger: silentLogger,
  });
  if (selection.provider && selection.provider !== localProvider) started.push(selection.provider);
  return selection;
}

describe("provider selection", () => {
  it("selects the chosen provider, and no text leaves the machine without a key", async () => {
    const selection = await select({ chosen: "local" });
    expect(selection.provider).toBe(localProvider);
    expect(selection).toMatchObject({ order: ["local"], skipped: [], textMayLeave: false, remedy: "" });
  });

  it("falls back to openai by default if it has a key, and reports that text may leave the machine", async () => {
    const ready = await select({ chosen: "local", changes: { OPENAI_API_KEY: key } });
    expect(ready).toMatchObject({ order: ["local", "openai"], textMayLeave: true });
    expect(ready.provider).toBe(localProvider);
    const broken = await select({ chosen: "local", local: noModel, changes: { OPENAI_API_KEY: key } });
    expect(broken.provider?.name).toBe("openai");
    expect(broken).toMatchObject({
      order: ["openai"],
      skipped: [{ name: "local", reason: "there is no model in models/" }],
      textMayLeave: true,
    });
  });

  it.each([[["none"]], [[]]])("uses no fallback with AI_FALLBACK=%j", async (fallback) => {
    const changes = { OPENAI_API_KEY: key };
    const selection = await select({ chosen: "local", fallback, local: noModel, changes });
    expect(selection).toMatchObject({ provider: null, order: [], textMayLeave: false });
    expect(selection.remedy).toContain("local: there is no model in models/");
  });

  it("tries the fallbacks in order and skips providers without a key", async () => {
    const selection = await select({
      chosen: "huggingface",
      fallback: ["openai", "local", "huggingface"],
    });
    expect(selection.provider).toBe(localProvider);
    expect(selection.skipped).toEqual([
      { name: "huggingface", reason: "HF_API_KEY is not set" },
      { name: "openai", reason: "OPENAI_API_KEY is not set" },
    ]);
    expect(selection.textMayLeave).toBe(false);
  });

  it("needs no key for an own server, and recognises a server on this machine", async () => {
    const far = await select({
      chosen: "openai",
      changes: { OPENAI_BASE_URL: "http://gpu.example:8000/v1" },
    });
    expect(far.provider?.name).toBe("openai");
    expect(far.textMayLeave).toBe(true);
    const near = await select({ chosen: "huggingface", changes: { HF_BASE_URL: "http://127.0.0.1:8080" } });
    expect(near.provider?.name).toBe("huggingface");
    expect(near.textMayLeave).toBe(false);
  });

  it("uses echo only if it is chosen, and then without a fallback to a paid service", async () => {
    const selection = await select({ chosen: "echo", changes: { OPENAI_API_KEY: key } });
    expect(selection).toMatchObject({ order: ["echo"], textMayLeave: false });
    expect(providerOrder("local", ["echo", "openai"], true)).toEqual(["local", "openai"]);
  });

  it("skips a provider that fails to start, and gives the reason only if it is safe to show", async () => {
    const failing = (error: Error): Candidate => ({ remote: false, start: () => Promise.reject(error) });
    const shown = await select({
      chosen: "local",
      local: failing(new ProviderError("local", "provider_unavailable", "the engine did not start")),
    });
    expect(shown.skipped).toEqual([{ name: "local", reason: "the engine did not start" }]);
    const hidden = await select({ chosen: "local", local: failing(new Error(`boom ${key}`)) });
    expect(hidden.provider).toBeNull();
    expect(hidden.remedy).not.toContain(key);
  });

  it("does not start fallbacks if the chosen provider runs", async () => {
    let starts = 0;
    const counted: Candidate = {
      remote: false,
      start: () => {
        starts++;
        return Promise.resolve(localProvider);
      },
    };
    const changes = { OPENAI_API_KEY: key };
    const selection = await select({ chosen: "openai", fallback: ["local"], local: counted, changes });
    expect(selection.order).toEqual(["openai", "local"]);
    expect(starts).toBe(0);
  });

  it("exposes no key in its result or in public fields of the provider", async () => {
    const changes = {
      OPENAI_API_KEY: key,
      HF_API_KEY: key,
      OPENAI_BASE_URL: `http://u:${key}@127.0.0.1:1/v1`,
    };
    for (const chosen of ["openai", "huggingface"] as const) {
      const selection = await select({ chosen, changes });
      expect(JSON.stringify(selection)).not.toContain(key);
      expect(inspect(selection, { depth: 20 })).not.toContain(key);
    }
  });
});
