import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { HttpReply } from "../../../../src/transport/uws/http-reply.ts";
import { loadStaticFiles, type StaticFiles } from "../../../../src/transport/uws/static-files.ts";

let folder = "";
let files: StaticFiles;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "static-"));
  mkdirSync(join(folder, "parts", "deep"), { recursive: true });
  const contents = {
    "index.html": "<!doctype html>é",
    "app.js": "export {};",
    "style.css": "a{}",
    "favicon.svg": "<svg/>",
    "parts/deep/part.js": "1;",
    "app.js.map": "{}",
    "tsconfig.json": "{}",
    "notes.txt": "no",
    ".env": "KEY=1",
  };
  for (const [name, content] of Object.entries(contents)) writeFileSync(join(folder, name), content);
  symlinkSync("/etc/hostname", join(folder, "link.html"));
  files = loadStaticFiles(folder);
});

afterAll(() => rmSync(folder, { recursive: true }));

function get(path: string, ifNoneMatch = ""): HttpReply {
  const route = files.get(path);
  if (route === undefined) throw new Error(`no ${path}`);
  return route({ method: "GET", path, authorization: "", ifNoneMatch, fromLoopback: false });
}

describe("loadStaticFiles", () => {
  it("serves the files of the page by their paths, and no others", () => {
    expect([...files.keys()].toSorted()).toEqual(
      [
        "/",
        "/app.js",
        "/client.html",
        "/favicon.svg",
        "/index.html",
        "/parts/deep/part.js",
        "/style.css",
      ].toSorted(),
    );
  });

  it("serves the page at / and at the path of the original service", () => {
    for (const path of ["/", "/client.html", "/index.html"]) {
      const reply = get(path);
      expect(reply.status).toBe(200);
      expect(Buffer.from(reply.body as Uint8Array).toString()).toBe("<!doctype html>é");
    }
  });

  it.each([
    ["/", "text/html; charset=utf-8"],
    ["/app.js", "text/javascript; charset=utf-8"],
    ["/style.css", "text/css; charset=utf-8"],
    ["/favicon.svg", "image/svg+xml"],
  ])("serves %s with its content type and a strict content security policy", (path, type) => {
    const { headers } = get(path);
    expect(headers["content-type"]).toBe(type);
    const policy = headers["content-security-policy"] ?? "";
    for (const rule of [
      "default-src 'none'",
      "script-src 'self'",
      "connect-src 'self'",
      "frame-ancestors 'none'",
      "base-uri 'none'",
    ]) {
      expect(policy.split("; ")).toContain(rule);
    }
    expect(policy).not.toMatch(/unsafe|\*|https?:/);
    expect(headers).toMatchObject({ "x-content-type-options": "nosniff", "referrer-policy": "no-referrer" });
  });

  it("replies with 304 if the client has the current version", () => {
    const first = get("/app.js");
    const etag = first.headers["etag"] ?? "";
    expect(etag).toMatch(/^"[\w-]{22}"$/);
    expect(first.headers["cache-control"]).toBe("no-cache");
    const again = get("/app.js", etag);
    expect(again).toMatchObject({ status: 304, body: "" });
    expect(again.headers["etag"]).toBe(etag);
    expect(get("/app.js", '"other"').status).toBe(200);
    expect(get("/style.css", etag).status).toBe(200);
  });

  it("does not follow changes on disk", () => {
    writeFileSync(join(folder, "style.css"), "changed");
    expect(Buffer.from(get("/style.css").body as Uint8Array).toString()).toBe("a{}");
  });

  it("serves nothing if the folder does not exist", () => {
    expect(loadStaticFiles(join(folder, "nowhere")).size).toBe(0);
  });
});
