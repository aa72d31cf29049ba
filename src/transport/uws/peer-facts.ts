import type { HttpRequest, HttpResponse } from "uWebSockets.js";

/** Addresses of a request. */
export interface PeerFacts {
  /** Address of the TCP peer. */
  readonly peer: string;
  /** All X-Forwarded-For lines in order, joined by commas; empty if there are none. */
  readonly forwardedFor: string;
}

/** The addresses of a request, copied out of the library's buffers. */
export function peerFacts(res: HttpResponse, req: HttpRequest): PeerFacts {
  return { peer: Buffer.from(res.getRemoteAddressAsText()).toString(), forwardedFor: forwardedFor(req) };
}

/**
 * Reads every X-Forwarded-For line. The library's `getHeader` returns only the first one, which the client may have
 * forged while its proxy added a second line.
 */
function forwardedFor(req: HttpRequest): string {
  const lines: string[] = [];
  req.forEach((name, value) => {
    if (name === "x-forwarded-for") lines.push(value);
  });
  return lines.join(",");
}
