import uWS, { type us_listen_socket } from "uWebSockets.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Socket } from "../../../../src/session/delivery/socket.ts";
import { RawConnection } from "../../../support/raw-connection.ts";
import { startTransport, type StartedTransport } from "../../../support/started-transport.ts";
import { WireClient } from "../../../support/wire-client.ts";
import { VirtualClock } from "../../../support/virtual-clock.ts";
import { closeFrame, opcodes, wireFrame } from "../../../support/wire-frames.ts";

// Required behaviour that all binaries of uWebSockets.js share: docs/decisions/2026-11-30-binaries-by-node-version.md.
let started: StartedTransport;

beforeAll(async () => {
  started = await startTransport();
});
afterAll(() => started.stop());

describe("a WebSocket", () => {
  /** Connects a client; returns it with the transport's socket. */
  const open = async (): Promise<{ client: WireClient; socket: Socket }> => {
    const before = started.sockets.length;
    const client = new WireClient(started.port);
    await expect.poll(() => started.sockets.length).toBe(before + 1);
    await expect.poll(() => client.head).toMatch(/^HTTP\/1.1 101/);
    return { client, socket: started.sockets[before] as Socket };
  };
  const frame = JSON.stringify({ type: "x".repeat(99_000) });
  /** Writes frames to a client that does not read until more than `bytes` are unsent; returns the number of frames. */
  const fill = ({ client, socket }: { client: WireClient; socket: Socket }, bytes: number): number => {
    client.pause();
    let frames = 0;
    while (socket.bufferedBytes() <= bytes) {
      expect(socket.send(frame)).toBe(socket.bufferedBytes() === 0 ? "sent" : "queued");
      frames++;
    }
    return frames;
  };
  const LIMIT = 1_048_576;

  it("buffers bytes up to its limit and one frame over it, and drops later frames", async () => {
    const pair = await open();
    const frames = fill(pair, LIMIT);
    const waiting = pair.socket.bufferedBytes();
    expect(pair.socket.send('{"type":"late"}')).toBe("dropped");
    expect(pair.socket.bufferedBytes()).toBe(waiting);
    pair.client.resume();
    await expect.poll(() => pair.client.frames.length).toBe(frames);
    expect(pair.socket.bufferedBytes()).toBe(0);
    expect(pair.socket.send('{"type":"again"}')).toBe("sent");
    await pair.client.next(({ type }) => type === "again");
    expect(pair.client.frames.some(({ type }) => type === "late")).toBe(false);
    pair.client.cut();
  });

  it("sends one frame that is larger than the limit completely", async () => {
    const { client, socket } = await open();
    client.pause();
    expect(socket.send(JSON.stringify({ type: "y".repeat(9_000_000) }))).toBe("queued");
    expect(socket.bufferedBytes()).toBeGreaterThan(LIMIT);
    client.resume();
    await expect.poll(() => client.frames.length).toBe(1);
    client.cut();
  });

  it("reports the drain to its session once all bytes are sent", async () => {
    const pair = await open();
    const before = started.drains.count;
    fill(pair, 0);
    pair.client.resume();
    await expect.poll(() => pair.socket.bufferedBytes()).toBe(0);
    await expect.poll(() => started.drains.count).toBeGreaterThan(before);
    pair.client.cut();
  });

  it("sends its close frame after all unsent bytes", async () => {
    const pair = await open();
    const frames = fill(pair, 500_000);
    pair.socket.end(4001, "à bientôt");
    // The library would report the socket as closed at once, while its bytes stay in memory.
    expect(pair.socket.closed).toBe(false);
    expect(pair.socket.send("late")).toBe("dropped");
    pair.client.resume();
    expect(await pair.client.closed).toEqual({ code: 4001, reason: "à bientôt" });
    expect(pair.client.frames).toHaveLength(frames);
    await expect.poll(() => pair.socket.closed).toBe(true);
  });

  // If the library had to queue the close frame, it would lose it together with all unsent bytes.
  it("sends its close frame also after more bytes than the limit", async () => {
    const pair = await open();
    const frames = fill(pair, LIMIT);
    pair.socket.end(4001, "not lost");
    pair.client.resume();
    expect(await pair.client.closed).toEqual({ code: 4001, reason: "not lost" });
    expect(pair.client.frames).toHaveLength(frames);
  });

  it("is cut if its client reads nothing for 15 s after its end", async () => {
    const clock = new VirtualClock();
    const other = await startTransport({ clock });
    const client = new WireClient(other.port);
    await expect.poll(() => other.sockets.length).toBe(1);
    client.pause();
    const [socket] = other.sockets;
    fill({ client, socket: socket as Socket }, 500_000);
    socket?.end(4001, "never read");
    clock.advance(14_999);
    expect(socket?.closed).toBe(false);
    clock.advance(1);
    expect(socket?.closed).toBe(true);
    expect(other.closeCodes).toEqual([1006]);
    client.cut();
    other.stop();
  });

  it("sends the frames that precede its end within a cork, and none after it", async () => {
    const { client, socket } = await open();
    const results: string[] = [];
    socket.cork(() => {
      results.push(socket.send('{"type":"a"}'));
      socket.cork(() => results.push(socket.send('{"type":"b"}')));
      socket.end(4001, "corked");
      results.push(socket.send('{"type":"c"}'));
    });
    expect(results).toEqual(["sent", "sent", "dropped"]);
    client.halfClose();
    expect(await client.closed).toEqual({ code: 4001, reason: "corked" });
    expect(client.frames.map(({ type }) => type)).toEqual(["a", "b"]);
  });

  const tooLong = wireFrame(opcodes.text, "", { declaredLength: 2n ** 40n });
  it.each<[string, (pair: { client: WireClient; socket: Socket }) => void, number, number]>([
    ["the client's close frame", ({ client }) => client.write(closeFrame(4321)), 4321, 4321],
    ["a close frame without a code", ({ client }) => client.write(closeFrame()), 1005, 1005],
    ["a close frame with a bad code", ({ client }) => client.write(closeFrame(99)), 1006, 1005],
    ["a FIN", ({ client }) => client.halfClose(), 1006, 1006],
    ["a reset", ({ client }) => client.cut(), 1006, 1006],
    ["a frame that is too long", ({ client }) => client.write(tooLong), 1006, 1006],
    ["text that is not UTF-8", ({ client }) => client.frame(opcodes.text, Buffer.from([0xc3])), 1006, 1006],
    ["the server's own end", ({ socket }) => socket.end(4002, ""), 4002, 4002],
  ])("that ends by %s reports the same close code with every binary", async (_name, act, counted, seen) => {
    const pair = await open();
    started.closeCodes.length = 0;
    act(pair);
    expect((await pair.client.closed).code).toBe(seen);
    await expect.poll(() => started.closeCodes).toEqual([counted]);
    expect(pair.socket.closed).toBe(true);
  });
});

describe("a port", () => {
  const listen = (port: number) => startTransport({ port });

  it("has one listener: a second one fails, with or without the exclusive option", async () => {
    const first = await listen(0);
    await expect(listen(first.port)).rejects.toThrow(`port ${first.port}: it is in use`);
    const shared = await new Promise<us_listen_socket | false>((resolve) => {
      uWS.App().listen("127.0.0.1", first.port, resolve);
    });
    expect(shared).toBe(false);
    first.stop();
  });

  it("accepts no connections after stopListening, and existing ones stay until close ends them", async () => {
    const own = await listen(0);
    const client = new WireClient(own.port);
    await expect.poll(() => own.sockets.length).toBe(1);
    own.transport.stopListening();
    const late = new RawConnection(own.port);
    await late.ended;
    expect(late.bytes).toBe(0);
    expect((own.sockets[0] as Socket).send('{"type":"still here"}')).toBe("sent");
    await client.next(({ type }) => type === "still here");
    own.transport.close();
    expect(await client.closed).toEqual({ code: 1006, reason: "" });
    expect(own.closeCodes).toEqual([1006]);
  });
});
