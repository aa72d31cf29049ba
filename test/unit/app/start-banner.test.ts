import { describe, expect, it } from "vitest";
import type { Config } from "../../../src/config/schema.ts";
import { renderStartBanner, type StartBannerFacts } from "../../../src/app/start-banner.ts";
import { ScriptedProvider } from "../../support/scripted-provider.ts";

const local = {
  description: "SmolLM2, Q4_1",
  source: "models/a.gguf",
  compute: "CPU, 4 threads",
  slots: 4,
  contextTokens: 2048,
  kvBytes: 90 * 1_048_576,
  notes: [],
} as const;

function render(changes: Partial<StartBannerFacts> = {}): string {
  return renderStartBanner({
    config: { ALLOW_ANONYMOUS: true } as Config,
    address: { host: "127.0.0.1", port: 8000 },
    selection: {
      provider: new ScriptedProvider(),
      order: ["local"],
      links: [],
      skipped: [],
      textMayLeave: false,
      remedy: "",
    },
    local,
    authenticates: false,
    warnings: [],
    ...changes,
  });
}

describe("the start banner", () => {
  it("shows the URL, the provider, the compute device and the access rules", () => {
    expect(render()).toBe(`
AI chat service is running
  URL       http://127.0.0.1:8000/   (ws://127.0.0.1:8000/ws/chat)
  Provider  local
  Model     scripted (SmolLM2, Q4_1)
  Source    models/a.gguf
  Compute   CPU, 4 threads
  Slots     4 × 2048 tokens × 11.3 KiB = 90 MiB
  Fallback  none
  Privacy   text stays on this machine
  Access    authentication not set up (set JWT_SECRET or JWT_PUBLIC_KEY); anonymous clients allowed

`);
  });

  it.each([
    ["0.0.0.0", "http://localhost:8000/"],
    ["::", "http://localhost:8000/"],
    ["::1", "http://[::1]:8000/"],
    ["192.0.2.7", "http://192.0.2.7:8000/"],
  ])("shows an address that a browser can open for the host %s", (host, url) => {
    expect(render({ address: { host, port: 8000 } })).toContain(`URL       ${url} `);
  });

  it("shows a remote provider, its fallback, and that text may leave the machine", () => {
    const banner = render({
      selection: {
        provider: new ScriptedProvider(),
        order: ["openai", "local"],
        links: [],
        skipped: [],
        textMayLeave: true,
        remedy: "",
      },
      local: null,
      authenticates: true,
      config: { ALLOW_ANONYMOUS: false } as Config,
    });
    expect(banner).toContain("Model     scripted, 4096 tokens\n");
    expect(banner).toContain("Fallback  local\n");
    expect(banner).toContain("Privacy   text MAY LEAVE this machine\n");
    expect(banner).toContain("Access    authentication on for /ws/chat/auth; no anonymous clients\n");
    expect(banner).not.toMatch(/Slots|Compute/);
  });

  it("shows the proxies without their credentials", () => {
    const config = {
      ALLOW_ANONYMOUS: true,
      HTTPS_PROXY: "http://me:hush@proxy.test:3128",
      NO_PROXY: "b.test",
    };
    const banner = render({ config: config as Config });
    expect(banner).toContain(
      "Proxy     http://proxy.test:3128 (HTTPS_PROXY); direct: loopback addresses, b.test\n",
    );
    expect(banner).not.toContain("hush");
  });

  it("notes failed providers, what to fix, and warnings", () => {
    const banner = render({
      selection: {
        provider: null,
        order: [],
        links: [],
        skipped: [{ name: "local", reason: "there is no model" }],
        textMayLeave: false,
        remedy: "Fix one of them.",
      },
      local: null,
      warnings: ["HOST is 0.0.0.0"],
    });
    expect(banner).toContain("Provider  none (messages cannot be answered)\n");
    expect(banner).toContain(
      "  Note      local could not start: there is no model\n  Note      Fix one of them.\n  Note      HOST is 0.0.0.0\n",
    );
  });

  it("shows how the memory of the slots adds up, and the free memory that an automatic slot count is based on", () => {
    const eight = { ...local, slots: 8, contextTokens: 2048, kvBytes: 8 * 2048 * 22_528 };
    expect(render({ local: eight })).toContain("8 × 2048 tokens × 22.0 KiB = 352 MiB\n");
    expect(render({ local: { ...eight, autoFromBytes: 12_000 * 1_048_576 } })).toContain(
      "= 352 MiB (auto: at most half of the 12000 MiB free)",
    );
  });

  it("shows the notes of the local provider", () => {
    expect(render({ local: { ...local, notes: ["No GPU found."] } })).toContain(
      "  Note      No GPU found.\n",
    );
  });
});
