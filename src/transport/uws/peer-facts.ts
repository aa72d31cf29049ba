import type { HttpRequest, HttpResponse } from "uWebSockets.js";

export interface PeerFacts {
  readonly peer: string;
  /** All X-Forwarded-For lines in order, joined by commas; empty when there is none. */
  readonly forwardedFor: string;
}

/** Who is at the other end of the connection, copied out of the library's buffers. */
export function peerFacts(res: HttpResponse, req: HttpRequest): PeerFacts {
  return { peer: Buffer.from(res.getRemoteAddressAsText()).toString(), forwardedFor: forwardedFor(req) };
}

/**
 * The library's own look-up sees only the first line, which a client may have written, empty too, while its proxy added
 * a second one.
 */
function forwardedFor(req: HttpRequest): string {
  const lines: string[] = [];
  req.forEach((name, value) => {
    if (name === "x-forwarded-for") lines.push(value);
  });
  return lines.join(",");
}
