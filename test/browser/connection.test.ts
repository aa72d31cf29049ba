import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  launchBrowser,
  openChat,
  sendMessage,
  settled,
  turns,
  type TestBrowser,
} from "../support/browser.ts";
import { startService } from "../support/service.ts";

const SECRET = "a secret that only this test knows, 32+ bytes";
const LONG = "One two three four five six seven eight nine ten. ".repeat(12).trim();

let testBrowser: TestBrowser;

beforeAll(async () => {
  testBrowser = await launchBrowser();
});

afterAll(async () => {
  await testBrowser?.close();
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

function mintToken(subject: string, seconds: number): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const now = Math.floor(Date.now() / 1000);
  const body = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub: subject, iat: now, exp: now + seconds })}`;
  return `${body}.${createHmac("sha256", SECRET).update(body).digest("base64url")}`;
}

it.each(["SIGKILL", "SIGTERM"] as const)(
  "reconnects to a restarted server after %s in the middle of an answer",
  async (signal) => {
    // A fixed port, because Linux does not free a port at once that the system has chosen.
    const port = String(await freePort());
    const first = await startService({
      AI_PROVIDER: "echo",
      ECHO_TOKEN_MS: "25",
      DRAIN_SECONDS: "1",
      PORT: port,
    });
    const { page, close } = await openChat(testBrowser.browser, first.page);
    await sendMessage(page, "before");
    await settled(page);
    await sendMessage(page, `${LONG} ${LONG}`);
    await page.locator(".prose.growing").waitFor();
    await first.stop(signal);
    await page
      .locator("#connection-bar")
      .getByText(/Trying again/)
      .waitFor();
    await sendMessage(page, "written in between");

    const second = await startService({ AI_PROVIDER: "echo", ECHO_TOKEN_MS: "1", PORT: String(first.port) });
    await page.locator('#connection-open[data-tone="good"]').waitFor();
    await settled(page);
    expect(await page.locator("#connection-bar").isVisible()).toBe(false);
    const texts = await turns(page).locator(".prose").allInnerTexts();
    expect(texts).toEqual(["before", `${LONG} ${LONG}`, "written in between"]);
    await page.getByText("The server no longer has the messages above or your context").waitFor();
    await close();
    expect(await second.stop()).toMatchObject({ code: 0 });
  },
);

it("signs in with a token, keeps it over a reload, and removes it on sign-out", async () => {
  const service = await startService({ AI_PROVIDER: "echo", JWT_SECRET: SECRET });
  const { page, complaints, close } = await openChat(testBrowser.browser, service.page);
  const requests: string[] = [];
  page.on("websocket", (socket) => requests.push(socket.url()));
  await sendMessage(page, "anonymous message");
  await settled(page);

  await page.getByRole("button", { name: /^Connection/ }).click();
  await page.getByLabel("Token").fill("not a token");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("This is not a valid token").waitFor();
  const token = mintToken("alice", 3600);
  await page.getByLabel("Token").fill(token);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.locator('#connection-open[data-tone="good"]').waitFor();
  expect(await turns(page).count()).toBe(0);
  await sendMessage(page, "as alice");
  await settled(page);

  await page.reload();
  await page.locator('#connection-open[data-tone="good"]').waitFor();
  expect(await turns(page).last().locator(".prose").innerText()).toBe("as alice");
  await page.getByRole("button", { name: /^Connection/ }).click();
  await page.getByText(/You are signed in as alice/).waitFor();
  expect(requests.some((url) => url.endsWith("/ws/chat/auth"))).toBe(true);
  expect(requests.join(" ")).not.toContain(token.slice(0, 20));

  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByText("You are not signed in.").waitFor();
  const kept = await page.evaluate(() =>
    JSON.stringify({ ...(globalThis as unknown as { sessionStorage: object }).sessionStorage }),
  );
  expect(kept).not.toContain(token);
  expect(await turns(page).count()).toBe(0);
  expect(complaints).toEqual([]);
  await close();
  await service.stop();
});

it("shows why a token was refused, and asks for a new one when it expires", async () => {
  const service = await startService({ AI_PROVIDER: "echo", JWT_SECRET: SECRET });
  const { page, close } = await openChat(testBrowser.browser, service.page);
  const enter = async (token: string): Promise<void> => {
    await page.getByLabel("Token").fill(token);
    await page.getByRole("button", { name: "Sign in" }).click();
  };
  await page.getByRole("button", { name: /^Connection/ }).click();
  await enter(`${mintToken("alice", 3600).slice(0, -4)}AAAA`);
  await page
    .locator("#token-state")
    .getByText(/You need a valid token to connect.*are kept/)
    .waitFor();
  await enter(mintToken("alice", 8));
  await page.locator('#connection-open[data-tone="good"]').waitFor();
  await sendMessage(page, "for a moment");
  await settled(page);
  await page
    .getByText(/Your token has expired/)
    .first()
    .waitFor();
  await page.getByRole("button", { name: "Enter a token" }).click();
  await enter(mintToken("alice", 3600));
  await page.locator('#connection-open[data-tone="good"]').waitFor();
  // The user is the same, so the page and the server still have the conversation.
  await sendMessage(page, "/summarize");
  await settled(page);
  expect(await turns(page).count()).toBe(2);
  expect(await turns(page).last().locator(".labelled").innerText()).toContain("Summary");
  await close();
  await service.stop();
});

it("keeps the conversation and the identity when a new token is refused", async () => {
  const service = await startService({ AI_PROVIDER: "echo", JWT_SECRET: SECRET });
  const { page, close } = await openChat(testBrowser.browser, service.page);
  const forged = `${mintToken("mallory", 3600).slice(0, -4)}AAAA`;
  const refuse = async (token: string, text: RegExp): Promise<void> => {
    await page.getByRole("button", { name: /^Connection/ }).click();
    await page.getByLabel("Token").fill(token);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.locator("#token-state").getByText(text).waitFor();
    await page.keyboard.press("Escape");
    expect(await page.locator("#connection-open").getAttribute("data-tone")).toBe("good");
  };
  const stored = (): Promise<string> =>
    page.evaluate(() => {
      const { sessionStorage } = globalThis as unknown as { sessionStorage: Record<string, string> };
      return `${sessionStorage["chat.session"]} ${sessionStorage["chat.token"]}`;
    });
  await sendMessage(page, "anonymous message");
  await settled(page);
  const anonymous = await stored();
  await refuse(forged, /You need a valid token/);
  await refuse(mintToken("alice", -5), /This token has expired/);
  expect(await stored()).toBe(anonymous);
  // The server still has the conversation as well.
  await sendMessage(page, "/summarize");
  await settled(page);
  expect(await turns(page).last().locator(".labelled").innerText()).toContain("Summary");
  expect(await turns(page).count()).toBe(2);
  await close();
  await service.stop();
});
