import type { HttpRequest, HttpResponse } from "uWebSockets.js";
import { describe, expect, it } from "vitest";
import { createAddressResolver } from "../../../../src/auth/client-address.ts";
import { createHostPolicy } from "../../../../src/auth/host-policy.ts";
import { createOriginPolicy } from "../../../../src/auth/origin-policy.ts";
import type { Logger } from "../../../../src/core/logger.ts";
import { noMetrics } from "../../../../src/core/metrics.ts";
import type { ConnectionLimits } from "../../../../src/transport/uws/connection-limits.ts";
import { TurnQuota } from "../../../../src/transport/uws/http-exchange.ts";
import {
  jsonReply,
  type HttpRequestFacts,
  type HttpRoute,
} from "../../../../src/transport/uws/http-reply.ts";
import { createHttpRouter } from "../../../../src/transport/uws/http-router.ts";
import { WireEncoder } from "../../../../src/transport/uws/wire-encoder.ts";
import { noLoopWatch, unlimitedConnections } from "../../../support/started-transport.ts";
import { settle, VirtualClock } from "../../../support/virtual-clock.ts";

/** A simulated request. */
interface Asked {
  readonly method?: string;
  readonly path?: string;
  /** In order; a name may occur more than once. */
  readonly headers?: readonly (readonly [name: string, value: string])[];
  readonly peer?: string;
  /** Whether the client disconnects before the reply is ready. */
  readonly aborts?: boolean;
  readonly connections?: ConnectionLimits;
}

/** What the router wrote. */
interface Answer {
  status: string;
  headers: Record<string, string>;
  body: string;
  ends: number;
  /** Content-Length of a reply without a body; null if it has one. */
  bodyless: number | null;
  /** Whether the reply closes the connection. */
  closes: boolean;
}

const seen: HttpRequestFacts[] = [];
const routes = new Map<string, HttpRoute>([
  ["/", (request) => (seen.push(request), jsonReply(200, { é: "é" }))],
  ["/healthz", () => jsonReply(200, {})],
  ["/readyz", () => jsonReply(200, {})],
  ["/later", () => Promise.resolve(jsonReply(200, { later: true }))],
  [
    "/fails-at-once",
    () => {
      throw new Error("with a secret");
    },
  ],
  ["/fails", () => Promise.reject(new Error("with a secret"))],
  ["/bad-header", () => jsonReply(200, {}, { "x-name": "é" })],
  ["/bad-header-later", () => Promise.resolve(jsonReply(200, {}, { "x-name": "two\r\nlines" }))],
  ["/unchanged", () => ({ status: 304, headers: { etag: '"x"' }, body: "" })],
]);

async function ask(asked: Asked = {}): Promise<Answer & { faults: string[] }> {
  const faults: string[] = [];
  const logger: Logger = {
    debug() {},
    info() {},
    warn() {},
    error: (_fields, message) => void faults.push(message),
  };
  const router = createHttpRouter({
    routes,
    socketPaths: ["/ws/chat", "/ws/chat/auth"],
    originPolicy: createOriginPolicy({ allowedOrigins: ["https://chat.example.org"] }),
    hostPolicy: createHostPolicy({ listenHost: "127.0.0.1", allowedHosts: [] }),
    resolveAddress: createAddressResolver(["127.0.0.1"]),
    connections: asked.connections ?? unlimitedConnections(),
    metrics: noMetrics,
    watch: noLoopWatch,
    http: { encoder: new WireEncoder(), clock: new VirtualClock(), logger, turn: new TurnQuota() },
  });
  const answer: Answer = { status: "", headers: {}, body: "", ends: 0, bodyless: null, closes: false };
  let abort = (): void => {};
  const { method = "get", path = "/", headers = [], peer = "127.0.0.1", aborts = false } = asked;
  const named = headers.some(([name]) => name === "host");
  const all = named ? headers : [...headers, ["host", "localhost:8000"] as const];
  const response = {
    onAborted: (handler: () => void) => (abort = handler),
    getRemoteAddressAsText: () => new TextEncoder().encode(peer).buffer,
    writeStatus: (status: string) => (answer.status = status),
    writeHeader: (name: string, value: string) => (answer.headers[name] = value),
    // Some binaries of the library garble strings, so a body must be bytes.
    end: (body: Uint8Array, close: boolean) => {
      answer.ends++;
      if (!(body instanceof Uint8Array)) throw new TypeError("a body that is not bytes");
      answer.body = Buffer.from(body).toString();
      answer.closes = close;
    },
    tryEnd: (body: Uint8Array) => {
      answer.ends++;
      if (!(body instanceof Uint8Array)) throw new TypeError("a body that is not bytes");
      answer.body = Buffer.from(body).toString();
      return [true, true];
    },
    endWithoutBody: (length: number | undefined, close: boolean) => {
      answer.ends++;
      answer.bodyless = length ?? null;
      answer.closes = close;
    },
    cork: (write: () => void) => write(),
  };
  const request = {
    // As in the library: only the first line, and an empty string if there is none.
    getHeader: (name: string) => all.find((line) => line[0] === name)?.[1] ?? "",
    forEach: (visit: (name: string, value: string) => void) => {
      for (const [name, value] of all) visit(name, value);
    },
    getMethod: () => method,
    getUrl: () => path,
  };
  router(response as unknown as HttpResponse, request as unknown as HttpRequest);
  if (aborts) abort();
  await settle();
  // Replies that close their connection are written in the next turn.
  await new Promise(setImmediate);
  return { ...answer, faults };
}

describe("the HTTP router", () => {
  it("serves a route to GET, and to HEAD without the body", async () => {
    const get = await ask();
    expect(get).toMatchObject({ status: "200 OK", body: '{"é":"é"}\n', ends: 1, bodyless: null });
    expect(get.headers).toMatchObject({
      "content-type": "application/json; charset=utf-8",
      "cache-control": "no-store",
      vary: "Origin",
    });
    const head = await ask({ method: "head" });
    expect(head).toMatchObject({
      status: "200 OK",
      body: "",
      ends: 1,
      bodyless: Buffer.byteLength(get.body),
      closes: true,
    });
    expect(head.headers).toEqual(get.headers);
  });

  it("sends no body with 304", async () => {
    expect(await ask({ path: "/unchanged" })).toMatchObject({
      status: "304 Not Modified",
      body: "",
      ends: 1,
    });
  });

  it("waits for asynchronous replies, and drops those whose client has disconnected", async () => {
    expect(await ask({ path: "/later" })).toMatchObject({ status: "200 OK", body: '{"later":true}\n' });
    expect(await ask({ path: "/later", aborts: true })).toMatchObject({ ends: 0, status: "", faults: [] });
  });

  it.each(["/fails", "/fails-at-once"])(
    "replies to a failing route with 500, without the text of the error: %s",
    async (path) => {
      const answer = await ask({ path });
      expect(answer.status).toBe("500 Internal Server Error");
      expect(answer.body).not.toContain("secret");
      expect(answer.faults).toEqual(["HTTP request failed"]);
    },
  );

  it.each(["/bad-header", "/bad-header-later"])(
    "replies with 500 instead of a header that is not printable ASCII: %s",
    async (path) => {
      const answer = await ask({ path });
      expect(answer).toMatchObject({ status: "500 Internal Server Error", ends: 1 });
      expect(answer.headers).not.toHaveProperty("x-name");
      expect(answer.faults).toEqual(["HTTP reply is invalid"]);
    },
  );

  it.each(["/nothing", "/..", "/WS/chat", "/ws/chat/", "//", "/client"])(
    "replies to %s with 404 and the available paths",
    async (path) => {
      const answer = await ask({ path });
      expect(answer.status).toBe("404 Not Found");
      for (const known of ["/healthz", "/readyz", "/metrics", "/ws/chat/auth"])
        expect(answer.body).toContain(known);
    },
  );

  it.each(["/ws/chat", "/ws/chat/auth"])("replies to plain HTTP at %s with 426", async (path) => {
    for (const method of ["get", "post", "options"]) {
      const answer = await ask({ path, method });
      expect(answer.status).toBe("426 Upgrade Required");
      expect(answer.headers).toMatchObject({ upgrade: "websocket", connection: "upgrade" });
      expect(answer.body).toContain("WebSocket");
    }
  });

  it.each(["post", "put", "delete", "patch", "trace"])(
    "refuses %s with 405 and the supported methods",
    async (method) => {
      const answer = await ask({ method });
      expect(answer).toMatchObject({ status: "405 Method Not Allowed", headers: { allow: "GET, HEAD" } });
      expect(answer.body).toContain(`not ${method.toUpperCase()}`);
    },
  );

  it("replies to OPTIONS with 204 and the methods, and with 404 for an unknown path", async () => {
    const answer = await ask({ method: "options", headers: [["origin", "https://chat.example.org"]] });
    expect(answer).toMatchObject({ status: "204 No Content", body: "", ends: 1 });
    expect(answer.headers).toMatchObject({
      allow: "GET, HEAD",
      "access-control-allow-methods": "GET, HEAD",
      "access-control-allow-origin": "https://chat.example.org",
    });
    expect((await ask({ method: "options", path: "/nothing" })).status).toBe("404 Not Found");
  });

  it("refuses a foreign host with 421 and a foreign origin with 403, before any route", async () => {
    seen.length = 0;
    const host = await ask({ headers: [["host", "evil.example"]] });
    expect(host.status).toBe("421 Misdirected Request");
    expect(host.body).toContain("is refused");
    for (const origin of ["https://evil.example", "null"]) {
      const answer = await ask({ headers: [["origin", origin]] });
      expect(answer.status).toBe("403 Forbidden");
      expect(answer.body).toContain("may not connect");
      expect(answer.headers).not.toHaveProperty("access-control-allow-origin");
    }
    expect((await ask({ headers: [["host", ""]] })).status).toBe("421 Misdirected Request");
    expect(seen).toEqual([]);
  });

  it("serves probes under any host name, but not to pages of other origins", async () => {
    for (const path of ["/healthz", "/readyz"]) {
      expect((await ask({ path, headers: [["host", "10.1.2.3.evil"]] })).status).toBe("200 OK");
      const foreign: [string, string][] = [
        ["host", "evil.example"],
        ["origin", "https://other.example"],
      ];
      expect((await ask({ path, headers: foreign })).status).toBe("403 Forbidden");
    }
  });

  it("echoes an allowed origin, and none if none was sent", async () => {
    const cross = await ask({ headers: [["origin", "https://chat.example.org"]] });
    expect(cross.headers["access-control-allow-origin"]).toBe("https://chat.example.org");
    expect((await ask()).headers).not.toHaveProperty("access-control-allow-origin");
  });

  it.each([
    ["127.0.0.1", "", true],
    ["127.9.9.9", "", true],
    ["::1", "", true],
    ["::ffff:127.0.0.1", "", true],
    ["192.0.2.7", "", false],
    // A request through a proxy on this machine may come from anywhere.
    ["127.0.0.1", "127.0.0.1", false],
    ["127.0.0.1", "203.0.113.9", false],
    ["127.0.0.1", "rubbish", false],
    ["192.0.2.7", "127.0.0.1", false],
    // The client has sent the first line, and the proxy has added its own.
    ["127.0.0.1", "|203.0.113.9", false],
    ["127.0.0.1", "127.0.0.1|203.0.113.9", false],
  ])("treats a request from %s with X-Forwarded-For %j as local: %j", async (peer, lines, local) => {
    seen.length = 0;
    const headers = lines === "" ? [] : lines.split("|").map((line) => ["x-forwarded-for", line] as const);
    await ask({ peer, headers });
    expect(seen[0]?.fromLoopback).toBe(local);
  });

  it("passes the facts of the request to the route", async () => {
    seen.length = 0;
    await ask({
      headers: [
        ["authorization", "Bearer x"],
        ["if-none-match", '"e"'],
      ],
    });
    expect(seen).toEqual([
      { method: "GET", path: "/", authorization: "Bearer x", ifNoneMatch: '"e"', fromLoopback: true },
    ]);
  });
});
