import type { HttpResponse } from "uWebSockets.js";
import { statusLine, type HttpReply } from "./http-reply.ts";
import type { WireEncoder } from "./wire-encoder.ts";

/** Tab and the printable characters of ASCII: all that a header may hold here. */
const HEADER_TEXT = /^[\t\x20-\x7e]*$/;

/**
 * Writes a whole reply; to be called within a cork or in the handler's own turn. A HEAD request gets the headers alone.
 *
 * @throws Error before anything is written where a status line or a header holds anything but ASCII.
 */
export function writeReply(res: HttpResponse, reply: HttpReply, method: string, encoder: WireEncoder): void {
  const status = statusLine(reply.status);
  const headers = Object.entries(reply.headers);
  assertAscii(status);
  for (const [name, value] of headers) {
    assertAscii(name);
    assertAscii(value);
  }
  res.writeStatus(status);
  for (const [name, value] of headers) res.writeHeader(name, value);
  if (reply.status === 204 || reply.status === 304) {
    res.end();
    return;
  }
  const body = encoder.encode(reply.body);
  // The library takes no further request on a connection after a reply without its body: say so to the client.
  if (method === "HEAD") res.endWithoutBody(body.byteLength, true);
  else res.end(body);
}

function assertAscii(text: string): void {
  if (!HEADER_TEXT.test(text)) {
    throw new Error(`A header or status line holds more than printable ASCII: ${JSON.stringify(text)}`);
  }
}
