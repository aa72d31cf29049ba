/** Largest payload whose length fits into the second byte of a frame. Benches need no longer ones. */
const SHORT_PAYLOAD = 125;

const TEXT_FRAME = 0x81;
const MASKED = 0x80;

/** Mask key. Any constant works, since the server's cost of unmasking does not depend on the key. */
const MASK = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);

/** A text frame as a server sends it. @throws RangeError if the payload is over 125 bytes. */
export function serverFrame(text: string): Buffer {
  const payload = shortPayload(text);
  return Buffer.concat([Buffer.from([TEXT_FRAME, payload.length]), payload]);
}

/** A masked text frame, as a client sends it. @throws RangeError if the payload is over 125 bytes. */
export function clientFrame(text: string): Buffer {
  const payload = shortPayload(text);
  const masked = payload.map((byte, index) => byte ^ (MASK[index % MASK.length] as number));
  return Buffer.concat([Buffer.from([TEXT_FRAME, MASKED | payload.length]), MASK, masked]);
}

/** The HTTP request that opens a WebSocket. */
export function upgradeRequest(port: number, path: string): string {
  return [
    `GET ${path} HTTP/1.1`,
    `Host: 127.0.0.1:${port}`,
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
    "",
    "",
  ].join("\r\n");
}

function shortPayload(text: string): Buffer {
  const payload = Buffer.from(text);
  if (payload.length > SHORT_PAYLOAD)
    throw new RangeError(`the payload has ${payload.length} bytes; at most ${SHORT_PAYLOAD} are allowed`);
  return payload;
}
