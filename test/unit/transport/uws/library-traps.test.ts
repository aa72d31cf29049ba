import { once } from "node:events";
import { request } from "node:http";
import { connect } from "node:net";
import uWS, { type us_listen_socket, type WebSocket } from "uWebSockets.js";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { createAddressResolver } from "../../../../src/auth/client-address.ts";
import { createHostPolicy, type HostPolicy } from "../../../../src/auth/host-policy.ts";
import { createOriginPolicy } from "../../../../src/auth/origin-policy.ts";
import { createTokenVerifier } from "../../../../src/auth/token-verifier.ts";
import type { Logger } from "../../../../src/core/logger.ts";
import { noMetrics } from "../../../../src/core/metrics.ts";
import { BufferAccount } from "../../../../src/session/delivery/buffer-account.ts";
import type { Session } from "../../../../src/session/session.ts";
import type { SessionRegistry } from "../../../../src/session/session-registry.ts";
import { jsonReply, type HttpRoute } from "../../../../src/transport/uws/http-reply.ts";
import { UwsSocket } from "../../../../src/transport/uws/uws-socket.ts";
import { createUwsTransport, type UwsTransport } from "../../../../src/transport/uws/uws-transport.ts";
import { WireEncoder } from "../../../../src/transport/uws/wire-encoder.ts";
import { systemClock } from "../../../../src/core/clock.ts";
import { noLoopWatch, unlimitedConnections } from "../../../support/started-transport.ts";
import { serverTurn } from "../../../support/server-turn.ts";
import { WireClient } from "../../../support/wire-client.ts";
import { opcodes } from "../../../support/wire-frames.ts";

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Objects and buffers that uWebSockets.js passes to a handler are invalid once the handler has returned. */
describe("the transport on uWebSockets.js", () => {
  const faults: string[] = [];
  const fault = (_fields: object, message: string): void => void faults.push(message);
  const logger: Logger = { debug() {}, info() {}, warn: fault, error: fault };
  /** Texts that a session has kept. */
  const texts: string[] = [];
  let replied = 0;
  /** Each function lets `/held` reply to one request. */
  const held: (() => void)[] = [];
  /** Steps of an upgrade, in order. */
  const steps: string[] = [];
  const hosts = createHostPolicy({ listenHost: "127.0.0.1", allowedHosts: [] });
  const hostPolicy: HostPolicy = {
    ...hosts,
    check(host) {
      steps.push("decided");
      queueMicrotask(() => steps.push("turn has ended"));
      return hosts.check(host);
    },
  };
  /** Returns the facts of its request after other requests have arrived. */
  const later: HttpRoute = async (facts) => {
    await pause(50);
    return jsonReply(200, facts);
  };
  /** Replies when the test releases it. */
  const whenReleased: HttpRoute = async (facts) => {
    await new Promise<void>((resolve) => held.push(resolve));
    replied++;
    return jsonReply(200, facts);
  };
  let transport: UwsTransport;
  let port: number;

  beforeAll(async () => {
    const session = { onText: (text: string) => texts.push(text), onDrain() {} } as unknown as Session;
    const open = (): Session => (steps.push("open"), session);
    const sessions = { size: 0, subjectFull: () => false, open, closed() {} };
    transport = createUwsTransport({
      library: uWS,
      host: "127.0.0.1",
      port: 0,
      maxFrameBytes: 65_536,
      maxAnswerBytes: 65_536,
      maxConnections: 10,
      connections: unlimitedConnections(),
      idleTimeoutSeconds: 120,
      upgradePolicy: {
        allowAnonymous: true,
        originPolicy: createOriginPolicy({ allowedOrigins: [] }),
        hostPolicy,
        resolveAddress: createAddressResolver([]),
        tokenVerifier: createTokenVerifier({ clock: systemClock }),
        addresses: null,
      },
      routes: new Map([
        ["/later", later],
        ["/held", whenReleased],
      ]),
      sessions: sessions as unknown as SessionRegistry,
      buffers: new BufferAccount(1_000_000, systemClock),
      clock: systemClock,
      watch: noLoopWatch,
      logger,
      metrics: noMetrics,
    });
    port = await transport.listen();
  });
  afterAll(() => {
    transport.stopListening();
    transport.close();
  });
  afterEach(() => void faults.splice(0));

  it("keeps the facts of a request intact over an await, while other requests arrive", async () => {
    const headerValues = Array.from({ length: 20 }, (_, index) => `Bearer ${String(index).repeat(50)}`);
    const replies = await Promise.all(
      headerValues.map(async (authorization, index) => {
        const headers = { authorization, "if-none-match": `"${index}"` };
        return (await fetch(`http://127.0.0.1:${port}/later?${index}`, { headers })).json();
      }),
    );
    const facts = { method: "GET", path: "/later", fromLoopback: true };
    expect(replies).toEqual(
      headerValues.map((authorization, index) => ({ ...facts, authorization, ifNoneMatch: `"${index}"` })),
    );
    expect(faults).toEqual([]);
  });

  it("keeps the text of a frame intact while later frames arrive", async () => {
    const client = new WireClient(port);
    await expect.poll(() => client.head).toMatch(/^HTTP\/1.1 101/);
    const sent = Array.from({ length: 50 }, (_, index) => `${index} ${"東京 🙂".repeat(20 + index)}`);
    for (const text of sent) client.frame(opcodes.text, text);
    await expect.poll(() => texts.length).toBe(sent.length);
    expect(texts).toEqual(sent);
    client.cut();
  });

  // An asynchronous upgrade within a cork can lose its new socket.
  it("decides on an upgrade and completes it synchronously", async () => {
    steps.length = 0;
    const client = new WireClient(port);
    await expect.poll(() => client.head).toMatch(/^HTTP\/1.1 101/);
    expect(steps).toEqual(["decided", "open", "turn has ended"]);
    client.cut();
  });

  it("refuses more than 4,096 bytes of headers with 431 if they arrive in pieces", async () => {
    const inPieces = async (cookieBytes: number): Promise<WireClient> => {
      const client = new WireClient(port, { handshakeBytes: 0 });
      const start = `GET /later HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n`;
      client.write(`${start}Cookie: ${"c".repeat(cookieBytes)}`);
      await client.written();
      await serverTurn(port);
      client.write("\r\n\r\n");
      await expect.poll(() => client.head).not.toBe("");
      return client;
    };
    const [fits, over] = await Promise.all([inPieces(3900), inPieces(4200)]);
    expect(fits.head).toMatch(/^HTTP\/1.1 200 /);
    expect(over.head).toMatch(/^HTTP\/1.1 431 /);
    expect(await over.closed).toMatchObject({ code: 1006 });
    fits.cut();
  });

  it("does not use a response whose client has disconnected before the reply was ready", async () => {
    const socket = connect(port, "127.0.0.1");
    await once(socket, "connect");
    socket.write(`GET /held HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`);
    await expect.poll(() => held.length).toBe(1);
    socket.resetAndDestroy();
    await once(socket, "close");
    await serverTurn(port);
    held.splice(0).forEach((release) => release());
    await expect.poll(() => replied).toBe(1);
    const reply = request({ port, path: "/later" }).end();
    const [{ statusCode }] = (await once(reply, "response")) as [{ statusCode: number }];
    expect(statusCode).toBe(200);
    reply.destroy();
    expect(faults).toEqual([]);
  });
});

/** uWebSockets.js throws on any call on a socket that has ended. */
describe("a socket that has ended", () => {
  type Data = Record<string, never>;
  let listener: us_listen_socket;
  let raw: WebSocket<Data>;
  let socket: UwsSocket<Data>;
  const buffers = new BufferAccount(1_000_000, systemClock);

  beforeAll(() => {
    const app = uWS.App().ws<Data>("/*", {
      maxBackpressure: 8_000_000,
      open: (ws) => {
        raw = ws;
        socket = new UwsSocket(ws, "", {
          buffers,
          clock: systemClock,
          encoder: new WireEncoder(),
          endedWithBytes() {},
        });
      },
      close: () => socket.markClosed(),
    });
    return new Promise<void>((resolve) => {
      app.listen("127.0.0.1", 0, (listening) => {
        if (listening !== false) listener = listening;
        resolve();
      });
    });
  });
  afterAll(() => uWS.us_listen_socket_close(listener));

  const open = async (): Promise<WireClient> => {
    const client = new WireClient(uWS.us_socket_local_port(listener), { path: "/" });
    await expect.poll(() => client.head).toMatch(/^HTTP\/1.1 101/);
    return client;
  };
  const useAll = (): unknown[] => {
    let written = 0;
    socket.cork(() => {
      written++;
      socket.send('"corked"');
    });
    socket.end(1000, "again");
    return [socket.send('"late"'), socket.bufferedBytes(), written, socket.closed];
  };

  it("drops frames and reports that it is closed, where the library throws, after the client has left", async () => {
    const client = await open();
    expect([socket.send('"first"'), socket.closed]).toEqual(["sent", false]);
    client.cut();
    await expect.poll(() => socket.closed).toBe(true);
    expect(() => raw.send("late")).toThrow("closed");
    expect(useAll()).toEqual(["dropped", 0, 1, true]);
  });

  it("drops frames and reports that it is closed after the server has ended it, also within a cork", async () => {
    const client = await open();
    socket.cork(() => {
      socket.end(1000, "bye");
      expect(socket.closed).toBe(true);
      socket.send('"late"');
    });
    expect(() => raw.getBufferedAmount()).toThrow("closed");
    expect(useAll()).toEqual(["dropped", 0, 1, true]);
    client.halfClose();
    expect(await client.closed).toEqual({ code: 1000, reason: "bye" });
    expect(client.frames).toEqual([]);
  });

  // Bytes in the kernel's buffers are not visible: at first only missing acks reveal a reader that stalls.
  it("holds no unsent bytes, and never counts bytes in the kernel's buffers", async () => {
    const client = await open();
    client.pause();
    const text = JSON.stringify("x".repeat(1_000_000));
    let unseen = -1;
    for (let index = 0; index < 12 && socket.bufferedBytes() === 0; index++) {
      socket.send(text);
      unseen++;
    }
    expect(unseen).toBeGreaterThan(0);
    expect(buffers.bytes).toBe(socket.bufferedBytes());
    expect(buffers.bytes).toBeGreaterThan(0);
    raw.close();
    expect(buffers.bytes).toBe(0);
    expect(useAll()).toEqual(["dropped", 0, 1, true]);
    client.cut();
  });
});
