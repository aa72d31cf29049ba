import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  launchBrowser,
  openChat,
  sendMessage,
  settled,
  turns,
  type OpenPage,
  type TestBrowser,
} from "../support/browser.ts";
import { startService, type Service } from "../support/service.ts";

const LONG = "One two three four five six seven eight nine ten. ".repeat(12).trim();
/** An answer of 15 seconds, for tests that act while it runs. */
const LONGER = Array.from({ length: 4 }, () => LONG).join(" ");

let testBrowser: TestBrowser;
let service: Service;
let open: OpenPage;

beforeAll(async () => {
  service = await startService({ AI_PROVIDER: "echo", ECHO_TOKEN_MS: "25" });
  testBrowser = await launchBrowser();
});

afterAll(async () => {
  await testBrowser?.close();
  await service?.stop();
});

beforeEach(async () => {
  open = await openChat(testBrowser.browser, service.page);
});

afterEach(async () => {
  await open.close();
  // No test may cause a script error or a violation of the content security policy.
  if (open.complaints.length > 0)
    throw new Error(`the browser reported problems: ${open.complaints.join("; ")}`);
});

const box = () => open.page.getByLabel("Message", { exact: true });

describe("the chat page", () => {
  it("starts with examples, sends with Enter and shows a growing answer", async () => {
    const { page } = open;
    await page.getByRole("heading", { name: "Ask away." }).waitFor();
    await sendMessage(page, `${LONG} ${LONG}`);
    const prose = turns(page).last().locator(".prose");
    const lengths: number[] = [];
    while ((await turns(page).last().getAttribute("data-status")) === "pending") {
      lengths.push((await prose.innerText()).length);
      await page.waitForTimeout(100);
    }
    const growing = lengths.filter((length, index) => length > (lengths[index - 1] ?? 0));
    expect(growing.length).toBeGreaterThan(5);
    expect(await prose.innerText()).toBe(`${LONG} ${LONG}`);
    await expectText(".facts", /echo.*\d+ tokens.*first word.*Copy/s);
    expect(await page.getByRole("heading", { name: "Ask away." }).isVisible()).toBe(false);
  });

  it("adds a new line with Shift+Enter", async () => {
    await box().fill("first");
    await box().press("Shift+Enter");
    await box().pressSequentially("second");
    expect(await box().inputValue()).toBe("first\nsecond");
    expect(await turns(open.page).count()).toBe(0);
  });

  it("does not send on Enter during IME composition", async () => {
    await box().fill("にほn");
    await box().dispatchEvent("keydown", { key: "Enter", isComposing: true, bubbles: true });
    expect(await turns(open.page).count()).toBe(0);
    expect(await box().inputValue()).toBe("にほn");
  });

  it("stops an answer with the button, keeps its text so far, and accepts the next message", async () => {
    const { page } = open;
    await sendMessage(page, LONGER);
    await page.locator(".prose.growing").waitFor();
    await page.getByRole("button", { name: "Stop" }).click();
    await settled(page);
    const text = await turns(page).last().locator(".prose").innerText();
    expect(text.length).toBeGreaterThan(0);
    expect(text.length).toBeLessThan(LONGER.length);
    expect(LONGER.startsWith(text)).toBe(true);
    await expectText(".facts", /Stopped/);
    expect(await page.getByRole("button", { name: "Stop" }).isVisible()).toBe(false);
    await sendMessage(page, "still there?");
    await settled(page);
    expect(await turns(page).last().locator(".prose").innerText()).toBe("still there?");
  });

  it("stops the running answer and the queued message with Escape", async () => {
    const { page } = open;
    await sendMessage(page, LONGER);
    await page.locator(".prose.growing").waitFor();
    await sendMessage(page, "and this one");
    await page.getByText("Waiting for the previous answer").waitFor();
    await box().press("Escape");
    await settled(page);
    expect(await page.locator("[data-status=stopped]").count()).toBe(2);
  });

  it("follows a growing answer until the user scrolls up, and again after a click on the button", async () => {
    const { page } = open;
    await page.setViewportSize({ width: 500, height: 420 });
    await sendMessage(page, LONGER);
    const jump = page.getByRole("button", { name: "Latest" });
    await page.waitForTimeout(2_500);
    expect(await jump.isVisible()).toBe(false);
    await expect.poll(distanceToEnd).toBeLessThan(40);
    await page.mouse.move(250, 200);
    await page.mouse.wheel(0, -200);
    await jump.waitFor();
    const before = await restingScrollTop();
    await page.waitForTimeout(1_000);
    expect(await scrollTop()).toBe(before);
    await jump.click();
    await jump.waitFor({ state: "hidden" });
    await page.waitForTimeout(600);
    await expect.poll(distanceToEnd).toBeLessThan(40);
  });

  it("restores the conversation after a reload, including its history on the server", async () => {
    const { page } = open;
    await sendMessage(page, '/setcontext text="We \\"met\\" in Rome"');
    await settled(page);
    await sendMessage(page, "remember me");
    await settled(page);
    await page.reload();
    await page.locator('#connection-open[data-tone="good"]').waitFor();
    expect(await turns(page).last().locator(".prose").innerText()).toBe("remember me");
    await sendMessage(page, "/getcontext");
    await settled(page);
    await expectText(".labelled", /We "met" in Rome/);
    await sendMessage(page, "/summarize");
    await settled(page);
    // The server refuses to summarize an empty history, so it still has this conversation.
    await expectText(".labelled", /Summary/);
  });

  it("continues a running answer after a reload instead of starting a second one", async () => {
    const { page } = open;
    await sendMessage(page, LONG);
    await page.locator(".prose.growing").waitFor();
    await page.reload();
    await settled(page);
    expect(await turns(page).count()).toBe(1);
    expect(await turns(page).last().locator(".prose").innerText()).toBe(LONG);
  });

  it("starts a new conversation with the button", async () => {
    const { page } = open;
    await sendMessage(page, "hello");
    await settled(page);
    await page.getByRole("button", { name: "New" }).click();
    expect(await turns(page).count()).toBe(0);
    await sendMessage(page, "/summarize");
    await settled(page);
    await expectText(".fault", /nothing to summarize/i);
  });

  it("fits a phone screen, even with long words and wide code", async () => {
    const { page } = open;
    await page.setViewportSize({ width: 360, height: 640 });
    await sendMessage(page, `${"long".repeat(60)}\n\n\`\`\`\n${"wide ".repeat(60)}\n\`\`\``);
    await settled(page);
    await sendMessage(page, "/help");
    await settled(page);
    const overflow = await page
      .locator("#scroller")
      .evaluate((node: { scrollWidth: number; clientWidth: number }) => node.scrollWidth - node.clientWidth);
    expect(overflow).toBe(0);
    for (const button of await page.locator(".top button, .composer button:visible").all()) {
      const area = await button.boundingBox();
      expect(Math.min(area?.width ?? 0, area?.height ?? 0)).toBeGreaterThanOrEqual(24);
    }
  });

  it("announces the whole answer to screen readers once", async () => {
    const { page } = open;
    await sendMessage(page, "read this out");
    await settled(page);
    await expect.poll(() => page.locator("#announcer").textContent()).toBe("read this out");
    expect(await page.locator("#thread").getAttribute("aria-live")).toBeNull();
  });
});

describe("commands on the chat page", () => {
  it("can be picked from the palette by keyboard", async () => {
    const { page } = open;
    await page.keyboard.type("/");
    await page.getByRole("option").first().waitFor();
    expect(await page.getByRole("option").count()).toBe(8);
    await page.keyboard.type("tr");
    await page.keyboard.press("Tab");
    expect(await box().inputValue()).toBe('/translate text="" target_language="Spanish"');
    expect(await page.locator("#palette").isVisible()).toBe(false);
    await page.keyboard.type("Good morning");
    await page.keyboard.press("Enter");
    await settled(page);
    // The echo provider repeats the request to the model, which begins with the language.
    await expectText(".labelled", /Spanish\s+Translate into Spanish:\s+Good morning/);
    await page.keyboard.type("/");
    await page.keyboard.press("ArrowDown");
    expect(await box().getAttribute("aria-activedescendant")).toBe("command-1");
    await page.keyboard.press("Escape");
    expect(await page.locator("#palette").isVisible()).toBe(false);
  });

  it("show their results as a card, a list, a divider or an error", async () => {
    const { page } = open;
    await sendMessage(page, "/analyze I like it");
    await settled(page);
    expect(await turns(page).last().locator(".user-message").innerText()).toContain(
      '/analyze text="I like it"',
    );
    await expectText(".card", /\d+% sure/);
    await sendMessage(page, "/help");
    await settled(page);
    expect(await page.locator(".commands dt").count()).toBe(8);
    await sendMessage(page, "/clear");
    await settled(page);
    await page.getByText("The model no longer remembers the messages above").waitFor();
    await sendMessage(page, "/hlep");
    await settled(page);
    await expectText(".fault", /\/help/);
    await turns(page).last().getByRole("button", { name: "Edit" }).click();
    expect(await box().inputValue()).toBe("/hlep");
  });

  it("save, show and clear any context in the context panel", async () => {
    const { page } = open;
    const hostile = 'Say "hi", it\'s \\fine\\\n/clear text="x" “quoted”';
    await page.getByRole("button", { name: "Context" }).click();
    await page.getByText("No context is set.").waitFor();
    await page.getByLabel("Text", { exact: true }).fill(hostile);
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText(/^Saved: \d+ tokens\.$/).waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Context" }).click();
    await page.locator("#context-clear:enabled").waitFor();
    expect(await page.getByLabel("Text", { exact: true }).inputValue()).toBe(hostile);
    await page.getByRole("button", { name: "Clear" }).click();
    await page.getByText("The context was cleared.").waitFor();
    expect(await turns(page).count()).toBe(0);
  });

  it("of the context panel do not wait for a running answer", async () => {
    const { page } = open;
    await sendMessage(page, LONGER);
    await page.locator(".prose.growing").waitFor();
    await page.getByRole("button", { name: "Context" }).click();
    await page.getByText("No context is set.").waitFor();
    expect(await page.locator("[data-status=pending]").count()).toBe(1);
  });
});

async function expectText(selector: string, pattern: RegExp): Promise<void> {
  expect(await turns(open.page).last().locator(selector).first().innerText()).toMatch(pattern);
}

function scrollTop(): Promise<number> {
  return open.page.locator("#scroller").evaluate((node: { scrollTop: number }) => node.scrollTop);
}

/** The scroll position once the page no longer moves after a turn of the wheel. */
async function restingScrollTop(): Promise<number> {
  let last = Number.NaN;
  const rests = async (): Promise<boolean> => {
    const before = last;
    last = await scrollTop();
    return last === before;
  };
  await expect.poll(rests, { interval: 200 }).toBe(true);
  return last;
}

function distanceToEnd(): Promise<number> {
  return open.page
    .locator("#scroller")
    .evaluate(
      (node: { scrollTop: number; scrollHeight: number; clientHeight: number }) =>
        node.scrollHeight - node.scrollTop - node.clientHeight,
    );
}
