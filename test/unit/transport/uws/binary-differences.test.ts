import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { jsonReply, type HttpRoute } from "../../../../src/transport/uws/http-reply.ts";
import { RawConnection } from "../../../support/raw-connection.ts";
import { serverTurn } from "../../../support/server-turn.ts";
import { startTransport, type StartedTransport } from "../../../support/started-transport.ts";

// The npm package contains binaries of different ages: docs/decisions/2026-11-30-binaries-by-node-version.md.
/** Whether this version of Node uses one of the newer binaries: Node 22 (ABI 127) and later. */
const newer = Number(process.versions.modules) >= 127;

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Milliseconds that a test waits to show that no reply arrives. */
const SILENCE_MS = 400;

const routes: ReadonlyMap<string, HttpRoute> = new Map<string, HttpRoute>([
  ["/now", () => jsonReply(200, "now")],
  ["/later", async () => (await pause(20), jsonReply(200, "later"))],
  ["/empty", () => ({ status: 204, headers: {}, body: "" })],
  ["/unchanged", () => ({ status: 304, headers: {}, body: "" })],
]);

let started: StartedTransport;
let host: string;

beforeAll(async () => {
  started = await startTransport({ routes });
  host = `Host: 127.0.0.1:${started.port}\r\n`;
});
afterAll(() => started.stop());

/** Writes pieces, each after the server has read the previous one, and waits for `replies` replies or the end. */
async function exchange(pieces: readonly string[], replies = 1): Promise<RawConnection> {
  const connection = new RawConnection(started.port);
  for (const piece of pieces) {
    connection.write(piece);
    await connection.written();
    await serverTurn(started.port);
  }
  if (replies === 0) await pause(SILENCE_MS);
  await expect.poll(() => connection.statuses.length >= replies || connection.openMs !== null).toBe(true);
  return connection;
}

describe("a request", () => {
  const START = "GET /now HTTP/1.1\r\n";
  const OTHER_HOST = "Host: x\r\n";

  it.each([4, 5, 8, 9, 12, 16, 17, 18])(
    "whose request line is split after %i bytes is served by newer binaries and refused by older ones",
    async (at) => {
      const whole = `${START}${host}\r\n`;
      const connection = await exchange([whole.slice(0, at), whole.slice(at)]);
      expect(connection.statuses).toEqual([newer ? 200 : 505]);
      if (!newer) await connection.ended;
      connection.cut();
    },
  );

  it.each([1, 3, 19, 25])("that is split after %i bytes is served by every binary", async (at) => {
    const whole = `${START}${host}\r\n`;
    const connection = await exchange([whole.slice(0, at), whole.slice(at)]);
    expect(connection.statuses).toEqual([200]);
    connection.cut();
  });

  /** A complete request of a given size. */
  const sized = (bytes: number): string => {
    const head = `${START}${host}Cookie: `;
    return `${head}${"c".repeat(bytes - head.length - 4)}\r\n\r\n`;
  };

  it("may have 4,096 bytes; newer binaries refuse more with 431", async () => {
    expect((await exchange([sized(4096)])).statuses).toEqual([200]);
    const over = await exchange([sized(4097)]);
    expect(over.statuses).toEqual([newer ? 431 : 200]);
    if (newer) await over.ended;
    over.cut();
  });

  // An older binary does not reply, and ends the connection after the idle timeout.
  it.each<[string, string, number]>([
    ["no headers", "", 400],
    ["a space before a colon", "HOST\r\nA : b\r\n", 400],
    ["a folded header", "HOST\r\nA: b\r\n c\r\n", 400],
    ["NUL in a header", "HOST\r\nA: b\0c\r\n", 400],
    ["99 headers", `HOST\r\n${"A: b\r\n".repeat(98)}`, 431],
  ])("with %s never reaches a route", async (_name, headers, status) => {
    const request = `${START}${headers.replace("HOST\r\n", host)}\r\n`;
    const connection = await exchange([request], newer ? 1 : 0);
    expect(connection.statuses).toEqual(newer ? [status] : []);
    connection.cut();
  });

  it.each<[string, string, number]>([
    ["without a Host header", `${START}A: b\r\n\r\n`, 400],
    ["of HTTP/1.0", `GET /now HTTP/1.0\r\n${OTHER_HOST}\r\n`, 505],
    [
      "with both Content-Length and chunks",
      `${START}${OTHER_HOST}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`,
      400,
    ],
    ["with a negative length", `${START}${OTHER_HOST}Content-Length: -1\r\n\r\n`, 400],
    ["with an absolute URL", `GET http://x/now HTTP/1.1\r\n${OTHER_HOST}\r\n`, 505],
  ])("%s is refused by every binary, which ends the connection", async (_name, request, status) => {
    const connection = await exchange([request]);
    await connection.ended;
    expect(connection.statuses).toEqual([status]);
  });

  // Newer binaries refuse two Host headers themselves; the transport does it with the older one.
  it("with two different Host headers is answered with 400, and the connection ends", async () => {
    const stranger = "Host: stranger.example\r\n";
    for (const headers of [`${host}${stranger}`, `${stranger}${host}`]) {
      const connection = await exchange([`${START}${headers}\r\n`]);
      await connection.ended;
      expect(connection.statuses).toEqual([400]);
    }
  });

  it.each(["POST /now", "POST /ws/chat", "GET /now"])(
    "with two different lengths is never served, nor is a request behind it: %s",
    async (start) => {
      const lengths = "Content-Length: 3\r\nContent-Length: 30\r\n";
      const request = `${start} HTTP/1.1\r\n${host}${lengths}\r\nabc`;
      const alone = await exchange([request]);
      await alone.ended;
      expect(alone.statuses).toEqual([400]);
      const smuggling = await exchange([`${request}GET /now HTTP/1.1\r\n${host}\r\n`]);
      await smuggling.ended;
      expect([[], [400]]).toContainEqual(smuggling.statuses);
    },
  );

  it("with the same length twice is served", async () => {
    const connection = await exchange([`${START}${host}Content-Length: 0\r\nContent-Length: 0\r\n\r\n`]);
    expect(connection.statuses).toEqual([200]);
    connection.cut();
  });
});

describe("a connection with several requests", () => {
  const get = (path: string) => `GET ${path} HTTP/1.1\r\n${host}\r\n`;
  const head = (path: string) => `HEAD ${path} HTTP/1.1\r\n${host}\r\n`;

  // An older binary ends the connection when the next request arrives, a newer one at once.
  it.each(["/now", "/later"])("accepts no request after a HEAD of %s", async (path) => {
    const connection = await exchange([head(path)]);
    if (newer) await connection.ended;
    else await pause(SILENCE_MS);
    expect(connection.openMs !== null).toBe(newer);
    connection.write(get("/now"));
    await connection.ended;
    expect(connection.text).toMatch(/^connection: close\r$/im);
    expect(connection.text).toMatch(/\r\n\r\n$/);
    expect(connection.statuses).toEqual([200]);
  });

  it.each<[string, number]>([
    ["/now", 200],
    ["/later", 200],
    ["/nowhere", 404],
    ["/ws/chat", 426],
  ])("accepts the next request after a GET of %s", async (path, status) => {
    const connection = await exchange([get(path)]);
    connection.write(get("/now"));
    await expect.poll(() => connection.statuses.length).toBe(2);
    expect(connection.statuses).toEqual([status, 200]);
    connection.cut();
  });

  it("serves pipelined requests in order", async () => {
    const connection = await exchange([get("/now") + get("/nowhere") + get("/now")], 3);
    expect(connection.statuses).toEqual([200, 404, 200]);
    connection.cut();
  });

  it.each<[string, number]>([
    ["/empty", 204],
    ["/unchanged", 304],
  ])("ends after a reply without a body: %s", async (path, status) => {
    const connection = await exchange([get(path)]);
    connection.write(get("/now"));
    await connection.ended;
    expect(connection.statuses).toEqual([status]);
    expect(connection.text).toMatch(/^connection: close\r$/im);
  });

  it("is closed if a request arrives before the reply to the previous one", async () => {
    const connection = await exchange([get("/later") + get("/now")]);
    await connection.ended;
    expect(connection.statuses).toEqual([]);
  });

  it.each<[string, string]>([
    ["a length", "POST /now HTTP/1.1\r\nContent-Length: 3\r\n"],
    ["chunks", "POST /now HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"],
  ])("skips an unused body with %s", async (name, start) => {
    const body = name === "chunks" ? "3\r\nabc\r\n0\r\n\r\n" : "abc";
    const connection = await exchange([`${start}${host}\r\n${body}${get("/now")}`], 2);
    expect(connection.statuses).toEqual([405, 200]);
    connection.cut();
  });
});
