import { afterEach, describe, expect, it } from "vitest";
import { createTokenSigner } from "../../../../src/auth/token-signer.ts";
import { systemClock } from "../../../../src/core/clock.ts";
import { silentLogger, type Logger } from "../../../../src/core/logger.ts";
import { ConnectionLimits } from "../../../../src/transport/uws/connection-limits.ts";
import { jsonReply, type HttpRoute } from "../../../../src/transport/uws/http-reply.ts";
import { CountingMetrics } from "../../../support/counting-metrics.ts";
import { RawConnection } from "../../../support/raw-connection.ts";
import {
  startTransport,
  type StartedTransport,
  type TransportSettings,
} from "../../../support/started-transport.ts";
import { VirtualClock } from "../../../support/virtual-clock.ts";
import { WireClient } from "../../../support/wire-client.ts";

/** More than the kernel's buffers can hold. */
const LARGE_BYTES = 32_000_000;

const large = Buffer.alloc(LARGE_BYTES, "x");

describe("a connection with HTTP requests", () => {
  let served = 0;
  const route: HttpRoute = () => (served++, jsonReply(200, {}));
  const routes = new Map<string, HttpRoute>([
    ["/small", route],
    ["/unchanged", () => (served++, { status: 304, headers: {}, body: "" })],
    ["/large", () => (served++, { status: 200, headers: { "content-type": "text/plain" }, body: large })],
    ["/large-text", () => (served++, { status: 200, headers: {}, body: "é".repeat(LARGE_BYTES / 2) })],
  ]);
  const started: StartedTransport[] = [];
  const connections: RawConnection[] = [];

  async function start(settings: TransportSettings = {}): Promise<StartedTransport> {
    const one = await startTransport({ routes, ...settings });
    started.push(one);
    served = 0;
    return one;
  }

  function connect(port: number): RawConnection {
    const connection = new RawConnection(port);
    connections.push(connection);
    return connection;
  }

  afterEach(() => {
    for (const connection of connections.splice(0)) connection.cut();
    for (const one of started.splice(0)) one.stop();
  });

  const get = (path: string, method = "GET"): string =>
    `${method} ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`;

  it.each([
    get("/small"),
    get("/unchanged"),
    get("/nothing"),
    get("/small", "HEAD"),
    get("/small", "OPTIONS"),
  ])("is closed when a packet holds more requests than one turn serves: %j", async (request) => {
    const { port } = await start();
    const connection = connect(port);
    connection.pause();
    connection.write(request.repeat(20_000));
    connection.resume();
    await connection.ended;
    // The last one waits for the next turn.
    expect(served).toBeLessThanOrEqual(65);
    expect(connection.statuses.length).toBeLessThanOrEqual(64);
  });

  it("serves pipelined requests up to that number", async () => {
    const { port } = await start();
    const connection = connect(port);
    connection.write(get("/small").repeat(64));
    await expect.poll(() => connection.statuses.length).toBe(64);
    expect(connection.openMs).toBeNull();
  });

  it.each(["/large", "/large-text"])("receives a body of any size completely: %s", async (path) => {
    const { port } = await start();
    const connection = connect(port);
    connection.write(get(path));
    await expect.poll(() => connection.text).not.toBe("");
    await expect.poll(() => connection.bytes).toBeGreaterThan(LARGE_BYTES);
    const head = connection.text.indexOf("\r\n\r\n") + 4;
    await expect.poll(() => connection.bytes).toBe(head + LARGE_BYTES);
    connection.write(get("/small"));
    await expect.poll(() => connection.bytes).toBeGreaterThan(head + LARGE_BYTES);
  });

  it("is not served further while its client does not read, and is closed by the next request", async () => {
    const { port } = await start();
    const connection = connect(port);
    connection.pause();
    connection.write(get("/large"));
    await expect.poll(() => served).toBe(1);
    connection.write(get("/small"));
    connection.resume();
    await connection.ended;
    expect(served).toBe(1);
    expect(connection.bytes).toBeLessThan(LARGE_BYTES);
  });

  it("is closed if its client has not read the reply after 30 seconds", async () => {
    const clock = new VirtualClock();
    const { port } = await start({ clock });
    const connection = connect(port);
    connection.pause();
    connection.write(get("/large"));
    await expect.poll(() => clock.pending).toBe(1);
    clock.advance(30_000);
    connection.resume();
    await connection.ended;
    expect(connection.bytes).toBeLessThan(LARGE_BYTES);
    expect(clock.pending).toBe(0);
  });

  function limited(
    limits: Partial<ConstructorParameters<typeof ConnectionLimits>[0]>,
    logger: Logger = silentLogger,
  ): { connections: ConnectionLimits; metrics: CountingMetrics; clock: VirtualClock } {
    const metrics = new CountingMetrics();
    const clock = new VirtualClock();
    const base = { maxHttpConnections: 100, maxDescriptors: undefined, rates: null };
    return {
      connections: new ConnectionLimits({ ...base, clock, logger, metrics, ...limits }),
      metrics,
      clock,
    };
  }

  it("gets 429 and is closed when its address sends more requests than its rate", async () => {
    const rates = { requestsPerMinute: 60, upgradesPerMinute: 60 };
    const { connections: limits, clock } = limited({ rates });
    const { port } = await start({ connections: limits });
    const connection = connect(port);
    for (let sent = 1; sent <= 60; sent++) {
      connection.write(get("/small"));
      await expect.poll(() => connection.statuses.length).toBe(sent);
    }
    connection.write(get("/small"));
    await connection.ended;
    expect(connection.statuses.slice(-2)).toEqual([200, 429]);
    expect(connection.text).toMatch(/^retry-after: 1\r$/im);
    expect(served).toBe(60);
    clock.advance(1000);
    const later = connect(port);
    later.write(get("/small"));
    await expect.poll(() => later.statuses).toEqual([200]);
  });

  it("is closed without a reply when its address connects more often than its rates allow", async () => {
    const { connections: limits, clock } = limited({ rates: { requestsPerMinute: 2, upgradesPerMinute: 1 } });
    const { port } = await start({ connections: limits });
    const first = Array.from({ length: 4 }, () => connect(port));
    await expect.poll(() => limits.open).toBe(4);
    await connect(port).ended;
    expect(first.every(({ openMs }) => openMs === null)).toBe(true);
    clock.advance(15_000);
    const later = connect(port);
    await expect.poll(() => limits.open).toBe(5);
    expect(later.openMs).toBeNull();
  });

  it("is closed without a reply over the maximum number of connections, WebSockets not counted", async () => {
    const { connections: limits, metrics } = limited({ maxHttpConnections: 2 });
    const { port, sockets } = await start({ connections: limits });
    const clients = Array.from({ length: 5 }, () => new WireClient(port));
    await expect.poll(() => sockets.length).toBeGreaterThanOrEqual(2);
    for (const client of clients) client.cut();
    await expect.poll(() => limits.open).toBe(0);
    const two = [connect(port), connect(port)];
    await expect.poll(() => limits.open).toBe(2);
    const before = metrics.gauges.get("http_connections")?.();
    await connect(port).ended;
    expect([before, metrics.gauges.get("http_connections")?.()]).toEqual([2, 2]);
    two[0]?.cut();
    await expect.poll(() => limits.open).toBe(1);
    const next = connect(port);
    next.write(get("/small"));
    await expect.poll(() => next.statuses).toEqual([200]);
  });

  it("is counted once as a WebSocket, which is refused with 1013 before the last descriptors are used", async () => {
    const lines: string[] = [];
    const logger = { ...silentLogger, warn: (_fields: object, line: string) => void lines.push(line) };
    const { connections: limits } = limited({ maxDescriptors: 20 }, logger);
    const { port, sockets } = await start({ connections: limits });
    const clients: WireClient[] = [];
    for (let count = 1; count <= 18; count++) {
      clients.push(new WireClient(port));
      await expect.poll(() => sockets.length).toBe(count);
    }
    expect(limits.open).toBe(18);
    for (let refusal = 0; refusal < 3; refusal++) {
      const { code, reason } = await new WireClient(port).closed;
      expect([code, reason]).toEqual([1013, '{"retry_after_ms":5000}']);
    }
    const probe = connect(port);
    probe.write(get("/small"));
    await expect.poll(() => probe.statuses).toEqual([200]);
    expect(lines).toEqual([expect.stringContaining("file descriptors are nearly used up")]);
    for (const client of clients) client.cut();
    probe.cut();
    await expect.poll(() => limits.open).toBe(0);
    const accepted = new WireClient(port);
    await expect.poll(() => sockets.length).toBe(19);
    accepted.cut();
  });

  it("has a place as an authenticated WebSocket when anonymous ones use all of theirs", async () => {
    const secret = "a secret of at least thirty-two bytes";
    const { port, sockets } = await start({ maxConnections: 10, secret });
    const clients: WireClient[] = [];
    for (let count = 1; count <= 9; count++) {
      clients.push(new WireClient(port));
      await expect.poll(() => sockets.length).toBe(count);
    }
    expect((await new WireClient(port).closed).code).toBe(1013);
    const token = createTokenSigner({ secret, clock: systemClock })("a", 60);
    const authenticated = (): WireClient => new WireClient(port, { path: `/ws/chat/auth?token=${token}` });
    clients.push(authenticated());
    await expect.poll(() => sockets.length).toBe(10);
    expect((await authenticated().closed).code).toBe(1013);
    for (const client of clients) client.cut();
  });
});
