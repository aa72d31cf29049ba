import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";
import type { HttpReply, HttpRequestFacts } from "./http-reply.ts";

/** Content types by file extension; other files are not served. */
const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".ico": "image/x-icon",
};

/** The page loads only from its own origin: no inline scripts, no other hosts, no embedding in frames. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const securityHeaders = {
  "content-security-policy": CONTENT_SECURITY_POLICY,
  "x-content-type-options": "nosniff",
  // The URL of the page may contain a token.
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
};

/** Handlers by path. */
export type StaticFiles = ReadonlyMap<string, (request: HttpRequestFacts) => HttpReply>;

/**
 * Reads the files of the web client into memory; changes on disk take effect at the next start. `/` and `/client.html`
 * are the page. Returns an empty map if the folder does not exist.
 */
export function loadStaticFiles(folder: string): StaticFiles {
  const files = new Map<string, (request: HttpRequestFacts) => HttpReply>();
  for (const name of listFiles(folder)) {
    const type = types[extname(name)];
    if (type === undefined) continue;
    const route = serve(readFileSync(join(folder, name)), type);
    files.set(`/${name}`, route);
    if (name === "index.html") {
      files.set("/", route);
      files.set("/client.html", route);
    }
  }
  return files;
}

function listFiles(folder: string): string[] {
  try {
    return readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) =>
        join(entry.parentPath ?? entry.path, entry.name)
          .slice(folder.length)
          .replace(/^[/\\]+/, ""),
      );
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

function serve(body: Uint8Array, type: string): (request: HttpRequestFacts) => HttpReply {
  const etag = `"${createHash("sha256").update(body).digest("base64url").slice(0, 22)}"`;
  const headers = { ...securityHeaders, "content-type": type, etag, "cache-control": "no-cache" };
  const whole: HttpReply = { status: 200, headers, body };
  const unchanged: HttpReply = { status: 304, headers, body: "" };
  return ({ ifNoneMatch }) => (ifNoneMatch === etag ? unchanged : whole);
}
