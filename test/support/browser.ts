import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, type Browser, type BrowserContextOptions, type Locator, type Page } from "playwright-core";

export interface TestBrowser {
  readonly browser: Browser;
  close(): Promise<void>;
}

/** Starts Chromium from an npm package. Downloads nothing and needs no system libraries. */
export async function launchBrowser(): Promise<TestBrowser> {
  const folder = mkdtempSync(join(tmpdir(), "chat-browser-"));
  const before = { TMPDIR: process.env["TMPDIR"], RUNTIME: process.env["AWS_LAMBDA_JS_RUNTIME"] };
  // The package reads these on import: it unpacks to TMPDIR, and adds its own libraries if it runs in AWS Lambda.
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
    restoreVariable("TMPDIR", before.TMPDIR);
    restoreVariable("AWS_LAMBDA_JS_RUNTIME", before.RUNTIME);
  }
}

/**
 * Writes a fontconfig file with the font folders and returns its path. The file in the package only looks in
 * `/tmp/fonts`, and Chromium crashes at the first text box if it finds no font.
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

function restoreVariable(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name];
  else process.env[name] = value;
}

export interface OpenPage {
  readonly page: Page;
  /** Console warnings and errors: script errors, refused resources, violations of the content security policy. */
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

/** Types a message and sends it with Enter. Closes the palette first if it is open. */
export async function sendMessage(page: Page, text: string): Promise<void> {
  const box = page.getByLabel("Message", { exact: true });
  await box.fill(text);
  if ((await box.getAttribute("aria-expanded")) === "true") await box.press("Escape");
  await box.press("Enter");
}

/** The turns on the page, oldest first. */
export function turns(page: Page): Locator {
  return page.locator("article.turn");
}

/** Waits until no turn is pending. */
export async function settled(page: Page): Promise<void> {
  await page.locator("[data-status=pending]").first().waitFor({ state: "detached" });
}
