import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { setUpLocalProvider } from "../../../src/app/local-provider-setup.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { silentLogger } from "../../../src/core/logger.ts";
import { noMetrics } from "../../../src/core/metrics.ts";
import { createProxiedFetch } from "../../../src/outbound/proxied-fetch.ts";
import { startHttpProxy } from "../../support/http-proxy.ts";
import { silentProgress } from "../../support/silent-progress.ts";

it("downloads a model through the proxy, and reports its refusal without its credentials", async () => {
  const proxy = await startHttpProxy({ port: 1, tunnels: 403 });
  const root = mkdtempSync(join(tmpdir(), "local-setup-"));
  try {
    const { config } = loadConfig({ HTTPS_PROXY: `http://user:hush@${proxy.host}` });
    const fetch = await createProxiedFetch(config);
    const local = setUpLocalProvider({
      config,
      root,
      // Without a PATH there is no Python, which would fetch the stand-in.
      env: { PATH: "" },
      progress: silentProgress,
      fetch,
      signal: new AbortController().signal,
      clock: systemClock,
      logger: silentLogger,
      metrics: noMetrics,
    });
    if (!("start" in local.candidate)) throw new Error("unreachable");
    const failure = local.candidate.start();
    await expect(failure).rejects.toThrow(
      `the proxy ${proxy.host} (HTTPS_PROXY) refused the connection with status 403`,
    );
    await expect(failure).rejects.not.toThrow("hush");
    expect(proxy.seen).toEqual(["CONNECT huggingface.co:443"]);
  } finally {
    await proxy.close();
    rmSync(root, { recursive: true });
  }
});
