import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";
import type { HttpReply, HttpRequestFacts } from "./http-reply.ts";

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".ico": "image/x-icon",
};

/** The page needs itself and nothing else: no inline script, no foreign host, no frame around it. */
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
  // The page's own address may hold a token.
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
};

export type StaticFiles = ReadonlyMap<string, (request: HttpRequestFacts) => HttpReply>;

/**
 * Reads the web client once into memory: a few small files that never change while the server runs. Keys are paths;
 * `/` and `/client.html` are the page. Empty when the folder is not there.
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
