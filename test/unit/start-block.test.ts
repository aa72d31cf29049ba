import { describe, expect, it } from "vitest";
import { loadConfig } from "../../src/config/load.ts";
import type { ChatProvider } from "../../src/providers/provider.ts";
import { renderStartBlock, type StartFacts } from "../../src/start-block.ts";

const facts = (local: Partial<NonNullable<StartFacts["local"]>>): StartFacts => ({
  config: loadConfig({}).config,
  address: { host: "127.0.0.1", port: 8000 },
  selection: {
    provider: { name: "local", describe: () => ({ model: "m", contextTokens: 2048 }) } as ChatProvider,
    order: ["local"],
    skipped: [],
    textMayLeave: false,
    mend: "",
  },
  local: {
    description: "llama 1B Q4_0",
    source: "models/m.gguf",
    compute: "2 CPU threads",
    slots: 8,
    contextTokens: 2048,
    kvBytes: 8 * 2048 * 22_528,
    notes: [],
    ...local,
  },
  authenticates: false,
  warnings: [],
});

describe("the start block", () => {
  it("shows the sum behind the slots' memory", () => {
    expect(renderStartBlock(facts({}))).toContain("8 × 2048 tokens × 22.0 KiB = 352 MiB\n");
  });

  it("shows what an automatic number of slots was computed from", () => {
    expect(renderStartBlock(facts({ autoFromBytes: 12_000 * 1_048_576 }))).toContain(
      "= 352 MiB (auto: at most half of 12000 MiB free)",
    );
  });
});
