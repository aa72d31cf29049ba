import type { HttpRequest, HttpResponse } from "uWebSockets.js";
import type { AddressRequest } from "../../auth/client-address.ts";

/** Who is at the other end of the connection, copied out of the library's buffers. */
export function peerFacts(res: HttpResponse, req: HttpRequest): Required<AddressRequest> {
  return { peer: Buffer.from(res.getRemoteAddressAsText()).toString(), forwardedFor: forwardedFor(req) };
}

/**
 * All X-Forwarded-For lines in order. The library's own look-up sees only the first line, which a client may have
 * written while its proxy added a second one.
 */
function forwardedFor(req: HttpRequest): string {
  if (req.getHeader("x-forwarded-for") === "") return "";
  const lines: string[] = [];
  req.forEach((name, value) => {
    if (name === "x-forwarded-for") lines.push(value);
  });
  return lines.join(",");
}
