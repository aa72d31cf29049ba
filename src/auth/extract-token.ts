import { pastedToken } from "./pasted-token.ts";

/** Places where a client may put its token. */
export interface TokenPlaces {
  /** Decoded values of the query parameter `token`. */
  readonly query?: readonly string[];
  /** The `Authorization` headers. */
  readonly authorizations?: readonly string[];
  /** Subprotocols offered by the client: the header, or its list of values. */
  readonly protocols?: string | readonly string[] | undefined;
}

/** `conflict`: the request has two different tokens. It is closed with 4401, since its identity is ambiguous. */
export type FoundToken =
  | { readonly kind: "token"; readonly token: string }
  | { readonly kind: "none" }
  | { readonly kind: "conflict" };

const PROTOCOL_PREFIX = "bearer.";

/**
 * Finds the token of a request, without what is easily pasted along ({@link pastedToken}). Empty values and other
 * authorization schemes are ignored.
 */
export function extractToken(places: TokenPlaces): FoundToken {
  const found = new Set(places.query?.map(pastedToken));
  for (const authorization of places.authorizations ?? []) {
    if (/^bearer /i.test(authorization)) found.add(pastedToken(authorization.slice("bearer ".length).trim()));
  }
  const words = typeof places.protocols === "string" ? places.protocols.split(",") : (places.protocols ?? []);
  for (const word of words.map((each) => each.trim())) {
    if (word.startsWith(PROTOCOL_PREFIX)) found.add(pastedToken(word.slice(PROTOCOL_PREFIX.length)));
  }
  found.delete("");
  const [token] = found;
  if (token === undefined) return { kind: "none" };
  return found.size > 1 ? { kind: "conflict" } : { kind: "token", token };
}
