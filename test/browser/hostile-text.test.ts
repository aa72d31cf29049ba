import { afterAll, beforeAll, expect, it } from "vitest";
import {
  launchBrowser,
  openChat,
  sendMessage,
  settled,
  turns,
  type TestBrowser,
} from "../support/browser.ts";
import { startService, type Service } from "../support/service.ts";

/** Each text sets the global `ran` if any part of the page treats it as more than text. */
const attacks = [
  "<img src=x onerror=\"globalThis.ran='img'\">",
  "<script>globalThis.ran='script'</script>",
  "<svg onload=\"globalThis.ran='svg'\"></svg>",
  "<iframe srcdoc=\"<script>parent.ran='iframe'</script>\"></iframe>",
  "[click](javascript:globalThis.ran='link')",
  "![x](javascript:globalThis.ran='image')",
  "```html\n<script>globalThis.ran='code'</script>\n```",
  "```\"><img/src=x/onerror=globalThis.ran='fence'>\nx\n```",
  "<a href=\"javascript:globalThis.ran='a'\">x</a> <style>*{display:none}</style>",
  "# <b onclick=\"globalThis.ran='b'\">heading</b>\n- <input autofocus onfocus=\"globalThis.ran='focus'\">",
];

let testBrowser: TestBrowser;
let service: Service;

beforeAll(async () => {
  service = await startService({ AI_PROVIDER: "echo" });
  testBrowser = await launchBrowser();
});

afterAll(async () => {
  await testBrowser?.close();
  await service?.stop();
});

it("never executes hostile text from messages, answers, commands, the context, errors or a reload", async () => {
  const { page, complaints, close } = await openChat(testBrowser.browser, service.page);
  const requests: string[] = [];
  page.on("request", (request) => requests.push(request.url()));
  for (const attack of attacks) {
    await sendMessage(page, attack);
    await settled(page);
    const quoted = `"${attack.replace(/["\\]/g, "\\$&")}"`;
    await sendMessage(page, `/translate text=${quoted} target_language=${quoted.slice(0, 40)}"`);
    await settled(page);
    await sendMessage(page, `/setcontext text=${quoted}`);
    await settled(page);
    await sendMessage(page, `/${attack}`);
    await settled(page);
  }
  await page.reload();
  await page.locator('#connection-open[data-tone="good"]').waitFor();
  const count = await turns(page).count();
  expect(count).toBe(attacks.length * 4);
  await page.getByRole("button", { name: "Context" }).click();
  await page.locator("#context-clear:enabled").waitFor();
  await page.waitForTimeout(300);

  expect(await page.evaluate(() => (globalThis as { ran?: string }).ran)).toBeUndefined();
  expect(await page.locator("#thread").locator("img, script, svg, iframe, style, input, b").count()).toBe(0);
  expect(await page.locator("#thread a:not([href^='http'])").count()).toBe(0);
  expect(complaints).toEqual([]);
  const foreign = requests.filter((url) => !url.startsWith(service.page));
  expect(foreign).toEqual([]);
  await close();
});

it("shows hostile text exactly as it was written", async () => {
  const { page, close } = await openChat(testBrowser.browser, service.page);
  const attack = attacks[0] as string;
  await sendMessage(page, attack);
  await settled(page);
  expect(await turns(page).last().locator(".prose").innerText()).toBe(attack);
  await close();
});

it("opens links in a new tab, without access to the page and without a referrer", async () => {
  const { page, close } = await openChat(testBrowser.browser, service.page);
  await sendMessage(page, "[docs](https://example.org/a) and http://example.org/b");
  await settled(page);
  const links = turns(page).last().locator(".prose a");
  expect(await links.count()).toBe(2);
  for (const link of await links.all()) {
    expect(await link.getAttribute("rel")).toBe("noopener noreferrer nofollow");
    expect(await link.getAttribute("target")).toBe("_blank");
  }
  await close();
});
