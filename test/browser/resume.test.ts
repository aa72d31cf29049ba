import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import {
  launchBrowser,
  openChat,
  sendMessage,
  settled,
  turns,
  type TestBrowser,
} from "../support/browser.ts";
import { startService, until, type Service } from "../support/service.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";

/** The echo provider takes about 8 seconds for this text, so that a slow page can be cut in the middle of it. */
const LONG = Array.from({ length: 200 }, (_, index) => `word${index}`).join(" ");

let testBrowser: TestBrowser;
let service: Service;
let proxy: TcpProxy;

beforeAll(async () => {
  testBrowser = await launchBrowser();
});

afterAll(async () => {
  await testBrowser?.close();
});

beforeEach(async () => {
  service = await startService({ AI_PROVIDER: "echo", ECHO_TOKEN_MS: "20" });
  proxy = await startTcpProxy(service.port);
});

afterEach(async () => {
  await proxy.close();
  await service.stop();
});

/** The frames of one WebSocket. */
interface SocketFrames {
  readonly sent: Record<string, unknown>[];
  readonly received: Record<string, unknown>[];
}

/** Records the frames of each WebSocket that the page opens from now on. */
function recordSockets(page: Page): SocketFrames[] {
  const sockets: SocketFrames[] = [];
  page.on("websocket", (socket) => {
    const frames: SocketFrames = { sent: [], received: [] };
    sockets.push(frames);
    const parse = ({ payload }: { payload: string | Buffer }) =>
      JSON.parse(String(payload)) as Record<string, unknown>;
    socket.on("framesent", (frame) => frames.sent.push(parse(frame)));
    socket.on("framereceived", (frame) => frames.received.push(parse(frame)));
  });
  return sockets;
}

/** Expects each byte of the answer to be received exactly once over all sockets. */
function expectEachByteOnce(sockets: readonly SocketFrames[]): void {
  let at = 0;
  let text = "";
  for (const frame of sockets.flatMap(({ received }) => received)) {
    if (frame["type"] !== "token") continue;
    expect(frame["from"]).toBe(at);
    text += frame["content"] as string;
    at = frame["to"] as number;
  }
  expect(text).toBe(LONG);
}

const shown = (page: Page) => turns(page).last().locator(".prose").innerText();

it("continues an answer without loss each time the connection is cut in the middle of it", async () => {
  const { page, complaints, close } = await openChat(testBrowser.browser, `http://127.0.0.1:${proxy.port}/`);
  const sockets = recordSockets(page);
  await page.reload();
  await page.locator('#connection-open[data-tone="good"]').waitFor();
  await sendMessage(page, LONG);
  for (const [index, kind] of (["rst", "fin", "rst"] as const).entries()) {
    const word = `word${20 + index * 40}`;
    await page.locator(".prose", { hasText: word }).waitFor();
    const before = sockets.length;
    proxy.cutAll(kind);
    await until(() => sockets.length > before);
    await page.locator('#connection-open[data-tone="good"]').waitFor();
    expect(await shown(page)).toContain(word);
  }
  await settled(page);
  expect(await shown(page)).toBe(LONG);
  const inUse = sockets.filter(({ received }) => received.some(({ type }) => type === "token"));
  expect(inUse.length).toBe(4);
  expectEachByteOnce(inUse);
  for (const { sent } of inUse.slice(1)) {
    expect(sent[0]).toMatchObject({ type: "resume", answers: [{ from: expect.any(Number) as number }] });
    expect(sent.filter(({ type }) => type === "message")).toEqual([]);
  }
  expect(inUse.flatMap(({ sent }) => sent).filter(({ type }) => type === "ack").length).toBeGreaterThan(3);
  expect(complaints.filter((line) => !line.includes("WebSocket"))).toEqual([]);
  await close();
});

it("continues an answer after a reload in the middle of it", async () => {
  const { page, complaints, close } = await openChat(testBrowser.browser, service.page);
  const sockets = recordSockets(page);
  await sendMessage(page, "first");
  await settled(page);
  await sendMessage(page, LONG);
  await page.locator(".prose", { hasText: "word30" }).waitFor();
  await page.reload();
  await page.locator('#connection-open[data-tone="good"]').waitFor();
  expect(await shown(page)).toContain("word30");
  await settled(page);
  expect(await turns(page).locator(".prose").allInnerTexts()).toEqual(["first", LONG]);
  const reloaded = sockets.at(-1) as SocketFrames;
  expect(reloaded.sent.map(({ type }) => type).slice(0, 2)).toEqual(["resume", "history"]);
  expect(reloaded.sent.some(({ type }) => type === "message")).toBe(false);
  const tokens = reloaded.received.filter(({ type }) => type === "token");
  expect(tokens[0]?.["from"]).toBeGreaterThan(LONG.indexOf("word30"));
  expect(complaints).toEqual([]);
  await close();
});

it("shows the messages and running answers of another tab of the same chat after a reload", async () => {
  const { page, close } = await openChat(testBrowser.browser, service.page);
  await sendMessage(page, "hello");
  await settled(page);
  const kept = await page.evaluate(() =>
    JSON.stringify({ ...(globalThis as unknown as { sessionStorage: object }).sessionStorage }),
  );
  // Browsers copy the session storage when a tab is duplicated.
  const second = await page.context().newPage();
  await second.addInitScript((storage) => {
    const { sessionStorage } = globalThis as unknown as {
      sessionStorage: { length: number; setItem(key: string, value: string): void };
    };
    if (sessionStorage.length > 0) return;
    for (const [key, value] of Object.entries(JSON.parse(storage) as Record<string, string>)) {
      sessionStorage.setItem(key, value);
    }
  }, kept);
  await second.goto(service.page);
  await second.locator('#connection-open[data-tone="good"]').waitFor();
  await sendMessage(page, "from the first tab");
  await settled(page);
  await sendMessage(page, LONG);
  await page.locator(".prose", { hasText: "word20" }).waitFor();
  await second.reload();
  await second.locator(".prose", { hasText: "word25" }).waitFor();
  await settled(second);
  await settled(page);
  const texts = ["hello", "from the first tab", LONG];
  expect(await turns(page).locator(".prose").allInnerTexts()).toEqual(texts);
  expect(await turns(second).locator(".prose").allInnerTexts()).toEqual(texts);
  expect(service.log.filter(({ level }) => level === "error")).toEqual([]);
  await close();
});
