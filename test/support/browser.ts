import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, type Browser, type BrowserContextOptions, type Locator, type Page } from "playwright-core";

export interface TestBrowser {
  readonly browser: Browser;
  close(): Promise<void>;
}

/** Starts the Chromium that comes in a package; nothing is downloaded and no library of the system is asked for. */
export async function launchBrowser(): Promise<TestBrowser> {
  const folder = mkdtempSync(join(tmpdir(), "chat-browser-"));
  const before = { TMPDIR: process.env["TMPDIR"], RUNTIME: process.env["AWS_LAMBDA_JS_RUNTIME"] };
  // Read while the package is imported and unpacked: it then brings its own libraries, into a folder of its own.
  process.env["TMPDIR"] = folder;
  process.env["AWS_LAMBDA_JS_RUNTIME"] = "nodejs20.x";
  try {
    const { default: packaged } = await import("@sparticuz/chromium");
    const executablePath = await packaged.executablePath();
    const env = { ...(process.env as Record<string, string>), FONTCONFIG_FILE: writeFontConfig(folder) };
    const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"], headless: true, env });
    return {
      browser,
      async close() {
        await browser.close();
        rmSync(folder, { recursive: true, force: true });
      },
    };
  } finally {
    restore("TMPDIR", before.TMPDIR);
    restore("AWS_LAMBDA_JS_RUNTIME", before.RUNTIME);
  }
}

/**
 * Tells the browser where its fonts are. The package's own file looks for them in `/tmp/fonts` only, and Chromium dies at
 * the first text box when it finds no font.
 */
function writeFontConfig(folder: string): string {
  const file = join(folder, "fonts-here.conf");
  const directories = [join(folder, "fonts"), "/usr/share/fonts"]
    .map((path) => `<dir>${path}</dir>`)
    .join("");
  writeFileSync(
    file,
    `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>${directories}
<cachedir>${join(folder, "font-cache")}</cachedir>
<alias><family>system-ui</family><prefer><family>Inter</family><family>Open Sans</family></prefer></alias>
<alias><family>sans-serif</family><prefer><family>Inter</family><family>Open Sans</family></prefer></alias>
<alias><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>
</fontconfig>`,
  );
  return file;
}

function restore(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name];
  else process.env[name] = value;
}

export interface OpenPage {
  readonly page: Page;
  /** What the browser complained of: errors of scripts, refused resources, breaches of the security policy. */
  readonly complaints: string[];
  close(): Promise<void>;
}

/** Opens the chat page in a fresh profile and waits until it is connected. */
export async function openChat(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<OpenPage> {
  const context = await browser.newContext({ viewport: { width: 1200, height: 800 }, ...options });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
  });
  await page.goto(url);
  await page.locator('#connection-open[data-tone="good"]').waitFor();
  return { page, complaints, close: () => context.close() };
}

/** Types a message and sends it with Enter; a palette that is open is closed first. */
export async function say(page: Page, text: string): Promise<void> {
  const box = page.getByLabel("Message", { exact: true });
  await box.fill(text);
  if ((await box.getAttribute("aria-expanded")) === "true") await box.press("Escape");
  await box.press("Enter");
}

/** The turns on the page, oldest first. */
export function turns(page: Page): Locator {
  return page.locator("article.turn");
}

/** Waits until no answer runs or waits. */
export async function settled(page: Page): Promise<void> {
  await page.locator("[data-status=pending]").first().waitFor({ state: "detached" });
}
