/** Quotes and whitespace around a pasted token. */
const EDGES = /^[\s"'`“”„‘’‚«»‹›]+|[\s"'`“”„‘’‚«»‹›]+$/g;

/** A token as it was pasted, without quotes, line breaks, invisible characters and a leading `Bearer`. */
export function pastedToken(text: string): string {
  const visible = text.replaceAll(/\p{Cf}/gu, "").replaceAll(EDGES, "");
  return visible
    .replace(/^(authorization:\s*)?bearer[\s:]+/i, "")
    .replaceAll(EDGES, "")
    .replaceAll(/\s+/g, "");
}
