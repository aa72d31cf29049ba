/** Where a client may put its token. */
export interface TokenPlaces {
  /** The decoded value of the query's `token`. */
  readonly query?: string | undefined;
  /** The `Authorization` header. */
  readonly authorization?: string | undefined;
  /** The subprotocols that the client offers: the header, or its words. */
  readonly protocols?: string | readonly string[] | undefined;
}

/** `conflict`: two different tokens, which is 4401, since it is not clear whom the client means. */
export type FoundToken =
  | { readonly kind: "token"; readonly token: string }
  | { readonly kind: "none" }
  | { readonly kind: "conflict" };

const PROTOCOL_PREFIX = "bearer.";

/** Finds the token of a request. Empty values, and other schemes of authorization, count as none. */
export function extractToken(places: TokenPlaces): FoundToken {
  const found = new Set<string>();
  if (places.query) found.add(places.query);
  const authorization = places.authorization ?? "";
  const bearer = /^bearer /i.test(authorization) ? authorization.slice("bearer ".length).trim() : "";
  if (bearer) found.add(bearer);
  const words = typeof places.protocols === "string" ? places.protocols.split(",") : (places.protocols ?? []);
  for (const word of words.map((each) => each.trim())) {
    if (word.startsWith(PROTOCOL_PREFIX) && word.length > PROTOCOL_PREFIX.length) {
      found.add(word.slice(PROTOCOL_PREFIX.length));
    }
  }
  const [token] = found;
  if (token === undefined) return { kind: "none" };
  return found.size > 1 ? { kind: "conflict" } : { kind: "token", token };
}
