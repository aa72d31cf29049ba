import type { HttpResponse } from "uWebSockets.js";
import { statusLine, type HttpReply } from "./http-reply.ts";
import type { WireEncoder } from "./wire-encoder.ts";

/** What headers may contain: tab and printable ASCII. */
const HEADER_TEXT = /^[\t\x20-\x7e]*$/;

/**
 * Writes a complete reply. Call it within a cork or synchronously in the request handler. A HEAD request gets only the
 * headers.
 *
 * @throws Error before anything is written, if the status line or a header contains characters other than printable
 *   ASCII or tab
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
  // The library accepts no further request on a connection after a reply without a body, so the reply closes it.
  if (method === "HEAD") res.endWithoutBody(body.byteLength, true);
  else res.end(body, reply.closes === true);
}

function assertAscii(text: string): void {
  if (!HEADER_TEXT.test(text)) {
    throw new Error(
      `A header or status line contains other characters than printable ASCII: ${JSON.stringify(text)}`,
    );
  }
}
