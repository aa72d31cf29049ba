import { once } from "node:events";
import { connect } from "node:net";
import { systemClock } from "../../core/clock.ts";
import { silentLogger } from "../../core/logger.ts";
import { BufferAccount } from "../../session/delivery/buffer-account.ts";
import { HttpExchange, TurnQuota } from "./http-exchange.ts";
import { listenOn } from "./listen.ts";
import type { SocketLibrary } from "./socket-library.ts";
import { UwsSocket } from "./uws-socket.ts";
import { WireEncoder } from "./wire-encoder.ts";

/**
 * Texts in different string representations of V8: one byte per character, which a faulty binary garbles; two bytes
 * per character; a concatenation; and a slice of a longer string.
 */
const PROBES: readonly string[] = [
  "Grüße, ¿qué tal?",
  "你好 😀",
  "à la carte ".repeat(3),
  "¡ÄÖÜ äöüß ÀÉÎÕÜ!".slice(1),
];

/** A body of one-byte characters only: one wider character would hide the fault. */
const BODY = "Grüße, ¿qué tal?\n";

/** Reason of the close frame that follows the probes. */
const CLOSE_REASON = "à bientôt";

const CLOSE_CODE = 1000;

/** Timeout in milliseconds. The test takes a few milliseconds, and on a busy machine far less than the timeout. */
const DEADLINE_MS = 10_000;

const NO_REPLY = "The self-test of uWebSockets.js timed out: no reply on 127.0.0.1.";

const UPGRADE_REQUEST = [
  "GET / HTTP/1.1",
  "Host: localhost",
  "Upgrade: websocket",
  "Connection: Upgrade",
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  "Sec-WebSocket-Version: 13",
  "\r\n",
].join("\r\n");

const PAGE_REQUEST = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/**
 * Checks that text is sent as correct UTF-8. Frames, a close reason and an HTTP body are sent by the transport's own
 * code from a listener on a free loopback port, and are compared as raw bytes.
 *
 * @throws Error with one line if the bytes differ or do not arrive
 */
export async function checkTextOutput(library: SocketLibrary, encoder = new WireEncoder()): Promise<void> {
  const clock = systemClock;
  const host = { buffers: new BufferAccount(Infinity, clock), clock, encoder, endedWithBytes() {} };
  const http = { encoder, clock, logger: silentLogger, turn: new TurnQuota() };
  const app = library.App();
  app.ws("/*", {
    open(ws) {
      const socket = new UwsSocket(ws, "", host);
      for (const text of PROBES) socket.send(text);
      for (const text of PROBES) socket.send(text, Buffer.from(text));
      socket.end(CLOSE_CODE, CLOSE_REASON);
    },
  });
  const page = { status: 200, headers: { "content-type": "text/plain" }, body: BODY };
  app.any("/*", (res) => new HttpExchange(res, "GET", http).reply(page));
  const listener = await listenOn(app, "127.0.0.1", 0);
  try {
    const port = library.us_socket_local_port(listener);
    const [framesMatch, pageMatches] = await Promise.all([
      exchange(port, UPGRADE_REQUEST, expectedFrames()),
      exchange(port, PAGE_REQUEST, Buffer.from(BODY)),
    ]);
    const faults = [framesMatch ? "" : "WebSocket frames", pageMatches ? "" : "HTTP bodies"].filter(
      (each) => each !== "",
    );
    if (faults.length > 0) {
      throw new Error(
        `The binary of uWebSockets.js for Node ${process.versions.node} does not send text as UTF-8 ` +
          `(${faults.join(" and ")}). Reinstall the packages with npm ci, or use another version of Node.`,
      );
    }
  } finally {
    app.close();
  }
}

/** The expected bytes of all frames: RFC 6455 framing, unmasked, payloads shorter than 126 bytes. */
function expectedFrames(): Buffer {
  const text = (payload: Buffer): Buffer[] => [Buffer.from([0x81, payload.length]), payload];
  const reason = Buffer.from(CLOSE_REASON);
  const code = Buffer.alloc(2);
  code.writeUInt16BE(CLOSE_CODE);
  const probes = PROBES.map((probe) => Buffer.from(probe));
  return Buffer.concat([
    ...probes.flatMap(text),
    ...probes.flatMap((probe) => text(Buffer.concat([probe, probe]))),
    Buffer.from([0x88, code.length + reason.length]),
    code,
    reason,
  ]);
}

/** Whether exactly the expected bytes follow the headers of the reply to `request`. */
async function exchange(port: number, request: string, expected: Buffer): Promise<boolean> {
  const socket = connect({ port, host: "127.0.0.1" });
  try {
    socket.setTimeout(DEADLINE_MS, () => socket.destroy(new Error(NO_REPLY)));
    await once(socket, "connect");
    socket.write(request);
    let received = Buffer.alloc(0);
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      received = Buffer.concat([received, chunk]);
      const end = received.indexOf("\r\n\r\n");
      if (end === -1) continue;
      const content = received.subarray(end + 4);
      if (content.length >= expected.length || !expected.subarray(0, content.length).equals(content)) {
        return expected.equals(content);
      }
    }
    return false;
  } finally {
    socket.destroy();
  }
}
