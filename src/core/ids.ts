import { createHash, randomBytes } from "node:crypto";

/** HS256 keys shorter than its hash can be guessed from one token (RFC 7518, 3.2). */
export const MIN_SECRET_BYTES = 32;

/** One call to the system's generator serves many ids: it costs as much for 16 bytes as for these. */
const POOL_BYTES = 8192;
let pool = Buffer.alloc(0);
let used = 0;

/** Random bytes that are given out once, URL-safe. */
function random(bytes: number): string {
  if (used + bytes > pool.length) {
    pool = randomBytes(POOL_BYTES);
    used = 0;
  }
  const text = pool.toString("base64url", used, used + bytes);
  pool.fill(0, used, used + bytes);
  used += bytes;
  return text;
}

/** 96 random bits, URL-safe: unique without coordination, also over processes. */
export function randomId(): string {
  return random(12);
}

/** A session secret: 128 random bits, URL-safe. Only its hash is stored. */
export function newSessionSecret(): string {
  return random(16);
}

/** SHA-256, URL-safe; used where a secret or a frame must be compared without being kept. */
export function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("base64url");
}
