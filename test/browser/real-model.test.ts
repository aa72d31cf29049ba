import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { launchBrowser, openChat, say, settled, turns } from "../support/browser.ts";
import { startService } from "../support/service.ts";

const models = fileURLToPath(new URL("../../models", import.meta.url));
const file = existsSync(models) ? readdirSync(models).find((name) => name.endsWith(".gguf")) : undefined;

describe("the page with a real model", () => {
  it("shows a growing answer and an analysis", { timeout: 240_000 }, async ({ skip }) => {
    if (file === undefined) return skip("models/ holds no .gguf file; `npm run model` fetches one");
    const service = await startService({
      AI_PROVIDER: "local",
      AI_FALLBACK: "none",
      MODEL_PATH: join(models, file),
      MAX_OUTPUT_TOKENS: "96",
    });
    const testBrowser = await launchBrowser();
    const { page, complaints, close } = await openChat(testBrowser.browser, service.page);
    page.setDefaultTimeout(120_000);
    await page.getByText("Your text stays on this machine").waitFor();
    await say(page, "What is the capital of France?");
    await page.locator(".prose.growing").waitFor();
    await settled(page);
    expect((await turns(page).last().locator(".prose").innerText()).length).toBeGreaterThan(1);
    await say(page, "/analyze I love this phone, but the battery is weak.");
    await settled(page);
    expect(await turns(page).last().locator(".card").innerText()).toMatch(/\d+ % sure/);
    expect(complaints).toEqual([]);
    await close();
    await testBrowser.close();
    expect(await service.stop()).toMatchObject({ code: 0 });
  });
});
