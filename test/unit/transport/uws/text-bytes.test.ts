import { once } from "node:events";
import { connect } from "node:net";
import uWS, { type us_listen_socket } from "uWebSockets.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BufferAccount } from "../../../../src/session/delivery/buffer-account.ts";
import { listenOn } from "../../../../src/transport/uws/listen.ts";
import { UwsSocket } from "../../../../src/transport/uws/uws-socket.ts";
import { WireEncoder } from "../../../../src/transport/uws/wire-encoder.ts";
import { silentLogger } from "../../../../src/core/logger.ts";
import { systemClock } from "../../../../src/core/clock.ts";
import { HttpExchange, TurnQuota } from "../../../../src/transport/uws/http-exchange.ts";
import { WireClient } from "../../../support/wire-client.ts";

/** Long enough that V8 stores a string made from a buffer outside of its heap. */
const EXTERNAL_LENGTH = 1_031_913;

const LATIN1 = "Grüße, ¿qué tal? ÿ";

/** Strings in each of V8's representations. Each is created anew, because V8 may convert one that was read. */
const forms: Readonly<Record<string, () => string>> = {
  "one byte per character": () => LATIN1,
  "two bytes per character": () => "你好 😀 é",
  "ASCII only": () => "plain",
  "a concatenation of one-byte strings": () => LATIN1 + String(Math.random()) + LATIN1,
  "a concatenation of one-byte and two-byte strings": () => `${LATIN1}${String(Math.random())}你好`,
  "a slice of a one-byte string": () => `${LATIN1}${LATIN1}`.slice(1, 30),
  "a slice of a two-byte string": () => `你好${LATIN1}${LATIN1}`.slice(2, 30),
  "with lone surrogates": () => "\uDC00é\uD83D你\uD83D",
  "NUL, line ends and quotes": () => 'a\0b\r\n"é"\u2028',
};

const longForms: Readonly<Record<string, () => string>> = {
  "outside of V8's heap, one byte per character": () =>
    Buffer.alloc(EXTERNAL_LENGTH, 0xe9).toString("latin1"),
  "outside of V8's heap, two bytes per character": () =>
    Buffer.alloc(EXTERNAL_LENGTH * 2, "é你", "utf16le").toString("utf16le"),
  "4 MiB of one-byte characters": () => "é".repeat(4_194_304),
};

/** Every string must be sent as UTF-8, but some binaries of the library send one-byte strings as Latin-1. */
describe("a text", () => {
  let listener: us_listen_socket;
  let port: number;
  let text = "";
  let head: Uint8Array | undefined;
  let end: "with a reason" | "after a frame" = "after a frame";
  const buffers = new BufferAccount(Infinity, systemClock);
  const encoder = new WireEncoder();
  const http = { encoder, clock: systemClock, logger: silentLogger, turn: new TurnQuota() };
  let socket: UwsSocket<unknown>;

  beforeAll(async () => {
    const app = uWS.App();
    app.ws("/*", {
      maxBackpressure: 64_000_000,
      open: (ws) => {
        socket = new UwsSocket(ws, "", { buffers, clock: systemClock, encoder, endedWithBytes() {} });
        if (end === "after a frame") socket.send(JSON.stringify(text), head);
        socket.end(1000, end === "with a reason" ? text : "");
      },
      drain: () => socket.drained(),
    });
    app.any("/*", (res) => {
      const reply = { status: 200, headers: { "content-type": "text/plain; charset=utf-8" }, body: text };
      new HttpExchange(res, "GET", http).reply(reply);
    });
    listener = await listenOn(app, "127.0.0.1", 0);
    port = uWS.us_socket_local_port(listener);
  });
  afterAll(() => uWS.us_listen_socket_close(listener));

  /** The bytes after the headers of the reply: at least `length`, or all until the connection ends. */
  const read = async (request: string, length: number): Promise<Buffer> => {
    const socket = connect(port, "127.0.0.1");
    await once(socket, "connect");
    socket.write(request);
    const chunks: Buffer[] = [];
    let seen = 0;
    let headEnd = -1;
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      seen += chunk.length;
      if (headEnd === -1) headEnd = Buffer.concat(chunks).indexOf("\r\n\r\n");
      if (headEnd !== -1 && seen >= headEnd + 4 + length) break;
    }
    socket.destroy();
    return Buffer.concat(chunks).subarray(headEnd + 4);
  };

  describe.each(Object.entries({ ...forms, ...longForms }))("%s", (_name, make) => {
    it.each([
      ["a frame", undefined],
      ["a frame with a pre-encoded head", Buffer.from("  ")],
    ])("arrives unchanged in %s", async (_where, before) => {
      text = make();
      head = before;
      end = "after a frame";
      const client = new WireClient(port, { path: "/" });
      expect(await client.closed).toMatchObject({ code: 1000 });
      expect(client.frames.length).toBe(1);
      expect(client.frames[0] as unknown as string).toBe(text);
    });

    it("arrives unchanged in an HTTP body", async () => {
      text = make();
      const expected = Buffer.from(text);
      const received = await read("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", expected.length);
      expect(received.equals(expected)).toBe(true);
    });
  });

  it.each(Object.entries(forms))("arrives unchanged in a close reason: %s", async (_name, make) => {
    text = make();
    end = "with a reason";
    const { code, reason } = await new WireClient(port, { path: "/" }).closed;
    expect({ code, reason }).toEqual({ code: 1000, reason: Buffer.from(text).toString() });
  });

  it("is truncated at a character boundary in a close reason that is too long", async () => {
    text = "é".repeat(80);
    end = "with a reason";
    expect(await new WireClient(port, { path: "/" }).closed).toEqual({
      code: 1000,
      reason: `${"é".repeat(60)}…`,
    });
  });
});
