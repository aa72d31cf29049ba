import type { HttpRequest, HttpResponse } from "uWebSockets.js";

/** What a request says about its sender, copied out of the library's buffers. */
export interface PeerFacts {
  /** Address of the TCP peer. */
  readonly peer: string;
  /** All X-Forwarded-For lines in order, joined by commas; empty if there are none. */
  readonly forwardedFor: string;
  /** All different Authorization lines, in order. */
  readonly authorizations: readonly string[];
  /**
   * Name of a header that may come once and has different values: a proxy in front could follow another one than this
   * server. Undefined where there is none.
   */
  readonly contradiction: "Host" | "Content-Length" | undefined;
}

/**
 * Reads every line of the headers that a client can repeat. The library's `getHeader` returns only the first one, which
 * the client may have forged while its proxy added a second line.
 */
export function peerFacts(res: HttpResponse, req: HttpRequest): PeerFacts {
  let forwardedFor = "";
  let authorizations = NONE;
  let host: string | undefined;
  let length: string | undefined;
  let contradiction: PeerFacts["contradiction"];
  req.forEach((name, value) => {
    if (name === "host") {
      if ((host ??= value) !== value) contradiction = "Host";
    } else if (name === "x-forwarded-for") {
      forwardedFor = forwardedFor === "" ? value : `${forwardedFor},${value}`;
    } else if (name === "authorization") {
      if (!authorizations.includes(value)) authorizations = [...authorizations, value];
    } else if (name === "content-length" && (length ??= value) !== value) {
      contradiction ??= "Content-Length";
    }
  });
  return {
    peer: Buffer.from(res.getRemoteAddressAsText()).toString(),
    forwardedFor,
    authorizations,
    contradiction,
  };
}

const NONE: readonly string[] = [];
