import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Socket } from "../../../../src/session/delivery/socket.ts";
import { jsonReply, type HttpRoute } from "../../../../src/transport/uws/http-reply.ts";
import { RawConnection } from "../../../support/raw-connection.ts";
import { startTransport, type StartedTransport } from "../../../support/started-transport.ts";
import { WireClient } from "../../../support/wire-client.ts";

// Timeouts of uWebSockets.js have a resolution of four seconds: docs/decisions/2026-11-30-binaries-by-node-version.md.
const IDLE_HTTP_SECONDS = 10;
const TICK_SECONDS = 4;

/** Milliseconds that all cases below run in parallel; after it every idle connection has ended. */
const WATCHED_MS = (IDLE_HTTP_SECONDS + TICK_SECONDS) * 1000 - 500;

/** Far more than the kernel buffers for a reader that stalls. */
const LARGE = Buffer.alloc(24_000_000, "x");

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

const routes: ReadonlyMap<string, HttpRoute> = new Map<string, HttpRoute>([
  ["/now", () => jsonReply(200, "now")],
  ["/later", async () => (await pause(20), jsonReply(200, "later"))],
  ["/slow", async () => (await pause(WATCHED_MS - 500), jsonReply(200, "slow"))],
  ["/large", () => ({ status: 200, headers: {}, body: LARGE })],
]);

/** Both ends of a socket, and the number of frames sent. */
interface Pair {
  readonly client: WireClient;
  readonly socket: Socket;
  sent: number;
}

describe("an inactive connection", () => {
  let patient: StartedTransport;
  let strict: StartedTransport;
  const http: Record<string, RawConnection> = {};
  const sockets: Record<string, Pair> = {};
  const frame = JSON.stringify({ type: "x".repeat(99_000) });

  const request = (name: string, start: string, more = ""): RawConnection => {
    const connection = new RawConnection(patient.port);
    connection.write(start.replace("HOST\r\n", `Host: 127.0.0.1:${patient.port}\r\n`) + more);
    return (http[name] = connection);
  };
  const open = async (name: string, started: StartedTransport, answersPings = true): Promise<void> => {
    const before = started.sockets.length;
    const client = new WireClient(started.port, { answersPings });
    while (started.sockets.length === before || client.head === "") await pause(5);
    sockets[name] = { client, socket: started.sockets[before] as Socket, sent: 0 };
  };
  /** Stops reading until half a megabyte is unsent. */
  const stall = (name: string): void => {
    const stalled = of(name);
    stalled.client.pause();
    for (; stalled.socket.bufferedBytes() < 500_000; stalled.sent++) stalled.socket.send(frame);
  };
  const of = (name: string) => sockets[name] as Pair;

  beforeAll(async () => {
    patient = await startTransport({ routes });
    strict = await startTransport({ idleTimeoutSeconds: 8 });
    request("silent", "");
    request("half a line", "GET /n");
    request("dripping headers", "GET /now HTTP/1.1\r\nHOST\r\nA: ").drip("a", 1000);
    request("after a reply", "GET /now HTTP/1.1\r\nHOST\r\n\r\n");
    request("after a late reply", "GET /later HTTP/1.1\r\nHOST\r\n\r\n");
    request("half a body", "POST /now HTTP/1.1\r\nHOST\r\nContent-Length: 9999\r\n\r\na").drip("a", 1000);
    request("waiting", "GET /slow HTTP/1.1\r\nHOST\r\n\r\n");
    request("pausing", "GET /large HTTP/1.1\r\nHOST\r\n\r\n").pause();
    setTimeout(() => http["pausing"]?.resume(), 5000);
    request("stalled", "GET /large HTTP/1.1\r\nHOST\r\n\r\n").pause();
    await open("silent", strict, false);
    await open("answering", strict);
    await open("stalled", patient);
    await open("ended", patient);
    stall("stalled");
    stall("ended");
    of("ended").socket.end(4001, "ended");
    setTimeout(() => of("ended").client.resume(), 9000);
    await pause(WATCHED_MS);
    http["stalled"]?.resume();
    of("stalled").client.resume();
  }, 30_000);
  afterAll(() => {
    for (const connection of Object.values(http)) connection.cut();
    for (const { client } of Object.values(sockets)) client.cut();
    patient.stop();
    strict.stop();
  });

  it.each([
    "silent",
    "half a line",
    "dripping headers",
    "after a reply",
    "after a late reply",
    "half a body",
  ])("over HTTP is closed: %s", (name) => expect.poll(() => http[name]?.openMs).not.toBeNull());

  it("over HTTP is kept open while its reply is prepared", async () => {
    await expect.poll(() => http["waiting"]?.statuses).toEqual([200]);
  });

  it("over HTTP receives all of a large body if it resumes reading in time, and is closed otherwise", async () => {
    await expect.poll(() => http["pausing"]?.bytes).toBeGreaterThan(LARGE.length);
    await http["stalled"]?.ended;
    expect(http["stalled"]?.bytes).toBeLessThan(LARGE.length);
  });

  it("over a WebSocket is closed if it does not reply to pings, and kept open if it does", async () => {
    await expect.poll(() => of("silent").client.isClosed).toBe(true);
    expect(of("silent").client.pings).toBe(1);
    expect(strict.closeCodes).toEqual([1006]);
    expect(of("answering").client.isClosed).toBe(false);
    await expect.poll(() => of("answering").client.pings).toBeGreaterThanOrEqual(2);
  });

  // Unsent bytes do not shorten the timeout in any binary: only IDLE_TIMEOUT_SECONDS ends a reader that stalls.
  it("over a WebSocket with unsent bytes is kept open, and receives them when it resumes reading", async () => {
    const { client, socket, sent } = of("stalled");
    await expect.poll(() => client.frames.length).toBe(sent);
    expect(socket.closed).toBe(false);
    expect(socket.bufferedBytes()).toBe(0);
    expect(patient.drains.count).toBeGreaterThan(0);
  });

  it("over a WebSocket that the server has ended still receives unsent bytes and the close frame", async () => {
    const { client, sent } = of("ended");
    expect(await client.closed).toEqual({ code: 4001, reason: "ended" });
    expect(client.frames).toHaveLength(sent);
  });
});
