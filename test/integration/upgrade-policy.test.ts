import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { request } from "node:http";
import { createSigner } from "fast-jwt";
import { WebSocket } from "ws";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTokenSigner } from "../../src/auth/token-signer.ts";
import { systemClock } from "../../src/core/clock.ts";
import { ChatSocket, type Closed } from "../support/chat-socket.ts";
import { runService, startService, type Service } from "../support/service.ts";

const JWT_SECRET = "a secret of the tests that is long enough";
const tokenOf = createTokenSigner({ secret: JWT_SECRET, clock: systemClock });
const later = () => Math.floor(Date.now() / 1000) + 600;

/** Connects and expects a refusal: no frame, only the close. */
async function refused(
  url: string,
  protocols: string[] = [],
  headers: Record<string, string> = {},
): Promise<Closed> {
  const chat = await ChatSocket.open(url, protocols, { headers });
  const closed = await chat.closed;
  expect(chat.frames).toEqual([]);
  return closed;
}

/** Sends an HTTP request with any headers, including Host. */
function get(port: number, path: string, headers: Record<string, string> = {}, method = "GET") {
  return new Promise<{ status: number; headers: Record<string, unknown>; body: string }>(
    (resolve, reject) => {
      const sent = request({ host: "127.0.0.1", port, path, method, headers }, (response) => {
        let body = "";
        response.on("data", (chunk: Buffer) => (body += chunk.toString()));
        response.on("end", () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
        );
      });
      sent.on("error", reject);
      sent.end();
    },
  );
}

describe("the authenticated endpoint", () => {
  let service: Service;
  let url: string;

  beforeAll(async () => {
    service = await startService({
      AI_PROVIDER: "echo",
      JWT_SECRET,
      JWT_ISSUER: "tests",
      JWT_AUDIENCE: "chat",
    });
    url = `${service.url}/ws/chat/auth`;
  });

  afterAll(() => service.stop());

  const sign = (claims: object, key: string | Buffer = JWT_SECRET, algorithm = "HS256") =>
    createSigner({ key, algorithm: algorithm as "HS256", noTimestamp: true })(
      claims as Record<string, unknown>,
    );
  const good = { sub: "alice", iss: "tests", aud: "chat" };

  it("takes a token from the query, the header and the subprotocols, and echoes only chat.v1", async () => {
    const token = sign({ ...good, exp: later() });
    const byQuery = await ChatSocket.greeted(`${url}?token=${token}`);
    const byHeader = await ChatSocket.greeted(url, [], { headers: { authorization: `Bearer ${token}` } });
    const byProtocol = await ChatSocket.greeted(url, ["chat.v1", `bearer.${token}`]);
    expect(byProtocol.protocol).toBe("chat.v1");
    for (const chat of [byQuery, byHeader, byProtocol]) {
      expect(chat.welcome).toMatchObject({ client: "alice" });
      await chat.close();
    }
  });

  it.each([
    ["no token", ""],
    ["a malformed token", "?token=nonsense"],
    ["no exp", () => `?token=${sign(good)}`],
    ["no sub", () => `?token=${sign({ iss: "tests", aud: "chat", exp: later() })}`],
    ["no aud", () => `?token=${sign({ sub: "a", iss: "tests", exp: later() })}`],
    ["another iss", () => `?token=${sign({ ...good, iss: "others", exp: later() })}`],
    [
      "another secret",
      () => `?token=${sign({ ...good, exp: later() }, "another secret that is long enough, too")}`,
    ],
    ["algorithm none", () => `?token=${unsigned({ ...good, exp: later() })}`],
    ["an RSA signature", () => `?token=${sign({ ...good, exp: later() }, rsa.privateKey, "RS256")}`],
  ])("closes with 4401 at once for %s", async (_name, query) => {
    const { code, reason } = await refused(url + (typeof query === "function" ? query() : query));
    expect(code).toBe(4401);
    expect(reason).not.toBe("");
  });

  it("closes with 4401 when two different tokens are given", async () => {
    const [one, two] = [sign({ ...good, exp: later() }), sign({ ...good, sub: "bob", exp: later() })];
    const closed = await refused(`${url}?token=${one}`, [], { authorization: `Bearer ${two}` });
    expect(closed).toMatchObject({ code: 4401, reason: expect.stringContaining("two different") as unknown });
  });

  it("closes with 4408 if the token has expired, and when it expires later", async () => {
    const expired = await refused(`${url}?token=${sign({ ...good, exp: later() - 1200 })}`);
    expect(expired.code).toBe(4408);
    const chat = await ChatSocket.greeted(
      `${url}?token=${sign({ ...good, exp: Math.floor(Date.now() / 1000) + 6 })}`,
    );
    expect(await chat.closed).toMatchObject({ code: 4408 });
  });

  it("never writes a token or a message's text to the log", async () => {
    const token = sign({ ...good, exp: later() });
    const chat = await ChatSocket.greeted(`${url}?token=${token}`);
    await chat.ask("the-words-of-a-user");
    await chat.close();
    await refused(`${url}?token=${token}x`);
    const log = JSON.stringify(service.log) + service.stderr();
    expect(log).not.toContain(token.slice(0, 40));
    expect(log).not.toContain("the-words-of-a-user");
    expect(log).not.toContain(JWT_SECRET);
    expect(log).not.toContain(chat.welcome["session"]);
  });
});

const rsa = generateKeyPairSync("rsa", {
  modulusLength: 2048,
  publicKeyEncoding: { type: "spki", format: "pem" },
  privateKeyEncoding: { type: "pkcs8", format: "pem" },
});

function unsigned(claims: object): string {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${encode({ alg: "none", typ: "JWT" })}.${encode(claims)}.`;
}

describe("the service with different keys and ports", () => {
  it("accepts a public key, and refuses a token signed with that key as a secret", async () => {
    const service = await startService({
      AI_PROVIDER: "echo",
      JWT_PUBLIC_KEY: rsa.publicKey.replaceAll("\n", "\\n"),
    });
    const url = `${service.url}/ws/chat/auth`;
    const signer = createSigner({ key: rsa.privateKey, algorithm: "RS256" });
    const chat = await ChatSocket.greeted(`${url}?token=${signer({ sub: "alice", exp: later() })}`);
    await chat.close();
    const [head, body] = [
      { alg: "HS256", typ: "JWT" },
      { sub: "alice", exp: later() },
    ].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"));
    const { createHmac } = await import("node:crypto");
    const signature = createHmac("sha256", rsa.publicKey).update(`${head}.${body}`).digest("base64url");
    expect(await refused(`${url}?token=${head}.${body}.${signature}`)).toMatchObject({ code: 4401 });
    await service.stop();
  });

  it("refuses every client of the authenticated endpoint, with the reason, if no key is set", async () => {
    const service = await startService({ AI_PROVIDER: "echo" });
    const closed = await refused(`${service.url}/ws/chat/auth?token=${tokenOf("alice", 60)}`);
    expect(closed).toMatchObject({ code: 4401, reason: expect.stringContaining("not set up") as unknown });
    await service.stop();
  });

  it("does not start with a short secret, and lists every invalid setting in one message", async () => {
    const { code, stderr } = await runService({
      AI_PROVIDER: "echo",
      JWT_SECRET: "short",
      MAX_FRAME_BYTES: "abc",
    });
    expect(code).toBe(1);
    expect(stderr).toMatch(/JWT_SECRET/);
    expect(stderr).toMatch(/MAX_FRAME_BYTES.*abc/);
    expect(stderr).not.toContain("short;");
  });

  it("fails to start on a used port with one clear line", async () => {
    const service = await startService({ AI_PROVIDER: "echo" });
    const { code, stderr } = await runService({ AI_PROVIDER: "echo", PORT: String(service.port) });
    expect(code).toBe(1);
    expect(stderr).toContain(`port ${service.port}`);
    await service.stop();
  });
});

describe("connection checks", () => {
  let service: Service;

  beforeAll(async () => {
    service = await startService({
      AI_PROVIDER: "echo",
      CORS_ORIGINS: "https://chat.example.org",
      ALLOWED_HOSTS: "box.local",
      MAX_CONNECTIONS: "3",
    });
  });

  afterAll(() => service.stop());

  it("accept clients without Origin, from the own origin and from listed ones, and answer others with 403", async () => {
    const url = `${service.url}/ws/chat`;
    for (const origin of [undefined, `http://127.0.0.1:${service.port}`, "https://chat.example.org"]) {
      const chat = await ChatSocket.greeted(url, [], origin === undefined ? {} : { origin });
      await chat.close();
    }
    for (const origin of ["https://evil.example.org", "https://chat.example.org.evil.org"]) {
      await expect(ChatSocket.open(url, [], { origin })).rejects.toThrow("HTTP 403");
    }
    const answer = await get(service.port, "/healthz", { origin: "https://evil.example.org" });
    expect(answer).toMatchObject({
      status: 403,
      body: expect.stringContaining("may not connect") as unknown,
    });
    const listed = await get(service.port, "/healthz", { origin: "https://chat.example.org" });
    expect(listed.headers["access-control-allow-origin"]).toBe("https://chat.example.org");
  });

  it("close a page opened from disk with 4403 and name the setting", async () => {
    const closed = await refused(`${service.url}/ws/chat`, [], { origin: "null" });
    expect(closed).toMatchObject({
      code: 4403,
      reason: expect.stringContaining("may not connect") as unknown,
    });
  });

  it("negotiate no compression", async () => {
    const socket = new WebSocket(`${service.url}/ws/chat`, { perMessageDeflate: true });
    await once(socket, "open");
    expect(socket.extensions).toBe("");
    socket.terminate();
  });

  it("answer a foreign host name with 421 before any upgrade", async () => {
    const foreign = { host: `rebound.example.org:${service.port}` };
    expect(await get(service.port, "/", foreign)).toMatchObject({ status: 421 });
    const headers = { ...foreign, origin: `http://${foreign.host}` };
    await expect(ChatSocket.open(`${service.url}/ws/chat`, [], { headers })).rejects.toThrow("HTTP 421");
    expect(await get(service.port, "/", { host: "box.local" })).toMatchObject({ status: 200 });
    expect(await get(service.port, "/", { host: `localhost:${service.port}` })).toMatchObject({
      status: 200,
    });
    expect(await get(service.port, "/healthz", foreign)).toMatchObject({ status: 200 });
  });

  it("close with 1013 and a time to wait if the service is full", async () => {
    const three = await Promise.all(
      Array.from({ length: 3 }, () => ChatSocket.greeted(`${service.url}/ws/chat`)),
    );
    const closed = await refused(`${service.url}/ws/chat`);
    expect(closed.code).toBe(1013);
    expect(JSON.parse(closed.reason)).toEqual({ retry_after_ms: expect.any(Number) as unknown });
    await Promise.all(three.map((chat) => chat.close()));
    const again = await ChatSocket.greeted(`${service.url}/ws/chat`);
    await again.close();
  });

  it("close anonymous clients with 4401 if they are not allowed", async () => {
    const strict = await startService({ AI_PROVIDER: "echo", ALLOW_ANONYMOUS: "false", JWT_SECRET });
    expect(await refused(`${strict.url}/ws/chat`)).toMatchObject({ code: 4401 });
    const chat = await ChatSocket.greeted(`${strict.url}/ws/chat/auth?token=${tokenOf("alice", 60)}`);
    await chat.close();
    await strict.stop();
  });
});

describe("plain HTTP", () => {
  let service: Service;

  beforeAll(async () => {
    service = await startService({ AI_PROVIDER: "echo", METRICS_TOKEN: "metrics-secret" });
  });

  afterAll(() => service.stop());

  it.each([
    ["GET", "/nothing", 404, /Nothing is served at this path/],
    ["GET", "/ws/chat", 426, /WebSocket/],
    ["POST", "/ws/chat/auth", 426, /WebSocket/],
    ["POST", "/healthz", 405, /GET, HEAD/],
    ["DELETE", "/", 405, /GET, HEAD/],
    ["GET", "/metrics", 401, /operator.s token/],
    ["GET", "/%2e%2e/package.json", 404, /Nothing/],
  ])("answers %s %s with %i", async (method, path, status, message) => {
    const answer = await get(service.port, path, {}, method);
    expect(answer.status).toBe(status);
    expect(answer.body).toMatch(message);
  });

  it("serves the page under both names with a strict content security policy, and its scripts", async () => {
    for (const path of ["/", "/client.html"]) {
      const page = await get(service.port, path);
      expect(page.status).toBe(200);
      expect(page.headers["content-type"]).toContain("text/html");
      expect(page.headers["content-security-policy"]).toContain("default-src 'none'");
      expect(await get(service.port, path, { "if-none-match": String(page.headers["etag"]) })).toMatchObject({
        status: 304,
      });
    }
    expect((await get(service.port, "/", {}, "HEAD")).body).toBe("");
    expect((await get(service.port, "/app.js")).headers["content-type"]).toContain("javascript");
  });

  it("serves health, readiness and metrics", async () => {
    expect(await get(service.port, "/healthz")).toMatchObject({ status: 200 });
    expect(JSON.parse((await get(service.port, "/readyz")).body)).toEqual({ status: "ready" });
    const authorization = "Bearer metrics-secret";
    expect(JSON.parse((await get(service.port, "/readyz", { authorization })).body)).toMatchObject({
      status: "ready",
      provider: "echo",
    });
    const metrics = await get(service.port, "/metrics", { authorization });
    expect(metrics.status).toBe(200);
    expect(metrics.body).toMatch(/^chat_requests_running 0$/m);
  });

  it("starts without any provider, reports it, and answers each message with an error", async () => {
    const bare = await startService({ AI_PROVIDER: "openai", AI_FALLBACK: "none" });
    const ready = await get(bare.port, "/readyz");
    expect(ready).toMatchObject({ status: 503, body: expect.stringContaining("OPENAI_API_KEY") as unknown });
    expect((await get(bare.port, "/healthz")).status).toBe(200);
    const chat = await ChatSocket.greeted(`${bare.url}/ws/chat`);
    expect(chat.welcome).toMatchObject({ provider: null, model: null });
    expect(await chat.ask("hi")).toMatchObject({
      type: "error",
      code: "no_provider",
      message: expect.stringContaining("No AI service is available") as unknown,
    });
    expect(await chat.command("/help")).toMatchObject({ status: "success" });
    await chat.close();
    await bare.stop();
  });
});
