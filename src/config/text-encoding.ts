/**
 * Share of zero bytes at even or at odd positions from which a text is taken for UTF-16, where each ASCII character has
 * one.
 */
const UTF16_ZEROS = 0.2;

/**
 * Why the bytes of a text file are not UTF-8, as a predicate such as `is encoded in UTF-16 …`; undefined if they are.
 * Recognizes UTF-16 with and without a byte order mark, and Latin-1 by its first character beyond ASCII.
 */
export function encodingFault(bytes: Uint8Array): string | undefined {
  const [a, b, c, d] = bytes;
  if (a === 0xff && b === 0xfe) {
    return savedAs(bytes.length >= 8 && c === 0 && d === 0 ? "UTF-32" : "UTF-16 (little endian)");
  }
  if (a === 0xfe && b === 0xff) return savedAs("UTF-16 (big endian)");
  const even = zerosFrom(bytes, 0);
  const odd = zerosFrom(bytes, 1);
  const limit = Math.max(2, (bytes.length / 2) * UTF16_ZEROS);
  if (odd >= limit && odd > even) return savedAs("UTF-16 (little endian, without a byte order mark)");
  if (even >= limit) return savedAs("UTF-16 (big endian, without a byte order mark)");
  return latinFault(bytes);
}

function savedAs(encoding: string): string {
  return `is encoded in ${encoding}; save it as UTF-8`;
}

/** Number of zero bytes at every second position. */
function zerosFrom(bytes: Uint8Array, start: number): number {
  let zeros = 0;
  for (let at = start; at < bytes.length; at += 2) if (bytes[at] === 0) zeros++;
  return zeros;
}

/** Names the first line that is not UTF-8. Lines can be decoded alone, since no longer character contains the byte of a line break. */
function latinFault(bytes: Uint8Array): string | undefined {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  for (let line = 1, from = 0; from <= bytes.length; line++) {
    const end = bytes.indexOf(10, from);
    const stop = end < 0 ? bytes.length : end;
    try {
      decoder.decode(bytes.subarray(from, stop));
    } catch {
      return `is not encoded in UTF-8 but probably in Latin-1 or Windows-1252 (line ${line}); save it as UTF-8`;
    }
    from = stop + 1;
  }
  return undefined;
}
