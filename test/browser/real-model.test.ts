import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  launchBrowser,
  openChat,
  sendMessage,
  settled,
  turns,
  type TestBrowser,
} from "../support/browser.ts";
import { realModel, skipWithoutRealModel } from "../support/real-model.ts";
import { startService, type Service } from "../support/service.ts";

describe("the chat page with a real model", () => {
  let service: Service;
  let testBrowser: TestBrowser;

  skipWithoutRealModel();

  beforeAll(async () => {
    if (realModel === undefined) return;
    service = await startService({ MODEL_PATH: realModel, AI_FALLBACK: "none", MAX_OUTPUT_TOKENS: "96" });
    testBrowser = await launchBrowser();
  });

  afterAll(async () => {
    await testBrowser?.close();
    await service?.stop();
  });

  it("shows a growing answer and an analysis", async () => {
    const { page, complaints, close } = await openChat(testBrowser.browser, service.page);
    page.setDefaultTimeout(60_000);
    await page.getByText("Your text stays on this computer").waitFor();
    // A short answer could end before the browser sees it growing.
    await sendMessage(page, "Tell me a long story about a fox who crosses a river.");
    await page.locator(".prose.growing").waitFor();
    await settled(page);
    expect((await turns(page).last().locator(".prose").innerText()).length).toBeGreaterThan(40);
    await sendMessage(page, "/analyze I love this phone, but the battery is weak.");
    await settled(page);
    expect(await turns(page).last().locator(".card").innerText()).toMatch(/\d+% sure/);
    expect(complaints).toEqual([]);
    await close();
  });
});
