/** A token as it should be, which needs no other look. */
const PLAIN = /^[\w.~+/=-]*$/;
/** Quotes and whitespace around a pasted token. */
const EDGES = /^[\s"'`“”„‘’‚«»‹›]+|[\s"'`“”„‘’‚«»‹›]+$/g;

/**
 * A token as it was pasted, without quotes, line breaks, invisible characters and a leading `Bearer`. None of them can
 * be part of a token, so no two tokens become the same.
 */
export function pastedToken(text: string): string {
  if (PLAIN.test(text)) return text;
  const visible = text.replaceAll(/\p{Cf}/gu, "").replaceAll(EDGES, "");
  return visible
    .replace(/^(authorization:\s*)?bearer[\s:]+/i, "")
    .replaceAll(EDGES, "")
    .replaceAll(/\s+/g, "");
}
