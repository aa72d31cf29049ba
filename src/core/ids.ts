import { createHash, randomBytes } from "node:crypto";

/** Minimum length of an HS256 key: that of the hash (RFC 7518, 3.2). Shorter keys can be guessed from a token. */
export const MIN_SECRET_BYTES = 32;

/** Random bytes fetched at once: a call of the system's generator costs about the same for 16 bytes. */
const POOL_BYTES = 8192;
let pool = Buffer.alloc(0);
let used = 0;

/** Random bytes in base64url. Each byte of the pool is used once and then erased. */
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

/** 96 random bits in base64url: unique without coordination, also across processes. */
export function randomId(): string {
  return random(12);
}

/** A session secret: 128 random bits in base64url. Only its hash is stored. */
export function newSessionSecret(): string {
  return random(16);
}

/** SHA-256 in base64url, for secrets and frames that are compared without being stored. */
export function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("base64url");
}
