import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import {
  launchBrowser,
  openChat,
  sendMessage,
  settled,
  turns,
  type OpenPage,
  type TestBrowser,
} from "../support/browser.ts";
import { startFaultServer, type FaultServer, type FaultStep } from "../support/fault-server.ts";
import { startService, type Service } from "../support/service.ts";

let testBrowser: TestBrowser;
let upstream: FaultServer;
let service: Service;
let open: OpenPage;

function chunk(content: string, reason: string | null = null): FaultStep {
  return {
    send: `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content }, finish_reason: reason }] })}\n\n`,
  };
}

beforeAll(async () => {
  testBrowser = await launchBrowser();
  upstream = await startFaultServer();
  service = await startService({
    AI_PROVIDER: "openai",
    AI_FALLBACK: "none",
    OPENAI_API_KEY: "sk-0123456789",
    OPENAI_BASE_URL: upstream.baseUrl,
    AI_MODEL: "the-model",
  });
});

afterAll(async () => {
  await testBrowser?.close();
  await service?.stop();
  await upstream?.close();
});

beforeEach(async () => {
  open = await openChat(testBrowser.browser, service.page);
});

afterEach(async () => {
  await open.close();
  if (open.complaints.length > 0)
    throw new Error(`the browser reported problems: ${open.complaints.join("; ")}`);
});

const reasoning = () => turns(open.page).locator("details.reasoning");

it("reasoning is folded above the answer, as plain text, also after a reload", async () => {
  const thought = "<b>Hm</b> ".repeat(3);
  upstream.play({
    steps: [chunk(`<think>${thought}</think>`), chunk("**Hi**", "stop"), { send: "data: [DONE]\n\n" }],
  });
  await sendMessage(open.page, "Hello");
  await settled(open.page);
  for (let visit = 0; visit < 2; visit++) {
    expect(await turns(open.page).locator(".prose strong").textContent()).toBe("Hi");
    expect(await reasoning().getAttribute("open")).toBeNull();
    expect(await reasoning().locator(".reasoning-text").isVisible()).toBe(false);
    await reasoning().locator("summary").click();
    expect(await reasoning().locator(".reasoning-text").textContent()).toBe(thought);
    expect(await reasoning().locator("b").count()).toBe(0);
    await open.page.reload();
    await open.page.locator('#connection-open[data-tone="good"]').waitFor();
  }
});

it("a reload in the middle of the reasoning repeats and loses nothing", async () => {
  const pieces = Array.from({ length: 80 }, (_, index) => `step${index} `);
  upstream.play({
    steps: [
      chunk("<think>"),
      ...pieces.flatMap((piece) => [chunk(piece), { waitMs: 50 }]),
      chunk("</think>Done", "stop"),
      { send: "data: [DONE]\n\n" },
    ],
  });
  await sendMessage(open.page, "Hello");
  await reasoning().getByText("step5").waitFor({ state: "attached" });
  expect(await turns(open.page).locator(".wait").textContent()).toBe("Thinking");
  await open.page.reload();
  await settled(open.page);
  expect(await reasoning().locator(".reasoning-text").textContent()).toBe(pieces.join(""));
  expect(await turns(open.page).locator(".prose").textContent()).toBe("Done");
});

it("an answer without reasoning shows none", async () => {
  upstream.play({ steps: [chunk("Hi", "stop"), { send: "data: [DONE]\n\n" }] });
  await sendMessage(open.page, "Hello");
  await settled(open.page);
  expect(await reasoning().isVisible()).toBe(false);
});
