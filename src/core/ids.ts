import { createHash, randomBytes } from "node:crypto";

/** 96 random bits, URL-safe: unique without coordination, also over processes. */
export function randomId(): string {
  return randomBytes(12).toString("base64url");
}

/** A session secret: 128 random bits, URL-safe. Only its hash is stored. */
export function newSessionSecret(): string {
  return randomBytes(16).toString("base64url");
}

/** SHA-256, URL-safe; used where a secret or a frame must be compared without being kept. */
export function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("base64url");
}
