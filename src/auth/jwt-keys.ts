import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import { MIN_SECRET_BYTES } from "../core/ids.ts";
import { AuthSetupError } from "./auth-setup-error.ts";

/** Algorithm of tokens. The type of the key determines it; tokens of any other algorithm are refused. */
export type TokenAlgorithm = "HS256" | "RS256" | "ES256" | "EdDSA";

/** A checked key. */
export interface TokenKey {
  readonly algorithm: TokenAlgorithm;
  /** Canonical PEM, or the HS256 secret itself. */
  readonly key: string;
}

const MIN_RSA_BITS = 2048;

/**
 * Checks an HS256 secret.
 *
 * @throws AuthSetupError when it is too short or contains an asymmetric key (a PEM block or a JWK).
 */
export function secretKey(secret: string): TokenKey {
  const bytes = Buffer.byteLength(secret);
  if (bytes < MIN_SECRET_BYTES) {
    throw new AuthSetupError(`JWT_SECRET has ${bytes} bytes; use at least ${MIN_SECRET_BYTES}`);
  }
  // A public key is no secret: anyone who has it could sign HS256 tokens with it.
  if (secret.includes("-----BEGIN ") || /"kty"\s*:\s*"(RSA|EC|OKP)"/.test(secret)) {
    throw new AuthSetupError("JWT_SECRET contains an asymmetric key; set JWT_PUBLIC_KEY to the public key");
  }
  return { algorithm: "HS256", key: secret };
}

/**
 * Reads a public key in PEM and determines its algorithm: RSA of at least 2048 bits (RS256), EC on P-256 (ES256),
 * Ed25519 (EdDSA).
 *
 * @throws AuthSetupError for anything else, and for text before the PEM block.
 */
export function publicKey(pem: string): TokenKey {
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(pem)) {
    throw new AuthSetupError(
      "JWT_PUBLIC_KEY contains a private key; set it to the public key, since the server needs no private key",
    );
  }
  if (!/^-----BEGIN (RSA )?PUBLIC KEY-----\r?\n/.test(pem)) {
    throw new AuthSetupError(
      "JWT_PUBLIC_KEY must begin with the line -----BEGIN PUBLIC KEY-----, with nothing before it",
    );
  }
  const key = attempt(() => createPublicKey(pem), "JWT_PUBLIC_KEY is not a valid public key in PEM format");
  return {
    algorithm: algorithmOf(key, "JWT_PUBLIC_KEY"),
    key: key.export({ type: "spki", format: "pem" }).toString(),
  };
}

/**
 * Reads a private key in PEM for signing tokens.
 *
 * @throws AuthSetupError for an unsupported key, like {@link publicKey}, and for one with a passphrase.
 */
export function privateKey(pem: string): TokenKey {
  const key = attempt(
    () => createPrivateKey(pem),
    "the key file does not contain a private key in PEM format without a passphrase",
  );
  return {
    algorithm: algorithmOf(key, "the private key"),
    key: key.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

/**
 * PEM text from JWT_PUBLIC_KEY, where `\n` stands for a line break, or from the file in JWT_PUBLIC_KEY_FILE.
 *
 * @throws AuthSetupError when the file cannot be read.
 */
export function publicKeyPem(settings: {
  text?: string | undefined;
  file?: string | undefined;
}): string | undefined {
  if (settings.text !== undefined) return settings.text.replaceAll(String.raw`\n`, "\n");
  const file = settings.file;
  if (file === undefined) return undefined;
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "unknown error";
    throw new AuthSetupError(`JWT_PUBLIC_KEY_FILE: ${file} cannot be read (${code})`);
  }
}

function attempt(read: () => KeyObject, message: string): KeyObject {
  try {
    return read();
  } catch {
    // The parser's message is no help and might quote the key.
    throw new AuthSetupError(message);
  }
}

function algorithmOf(key: KeyObject, name: string): TokenAlgorithm {
  const kind = key.asymmetricKeyType;
  const details = key.asymmetricKeyDetails ?? {};
  const supported = "RSA of at least 2048 bits, EC on P-256, Ed25519";
  if (kind === "ed25519") return "EdDSA";
  if (kind === "ec") {
    if (details.namedCurve === "prime256v1") return "ES256";
    throw new AuthSetupError(
      `${name} uses the curve ${details.namedCurve ?? "unknown"}; supported keys: ${supported}`,
    );
  }
  if (kind === "rsa") {
    const bits = details.modulusLength ?? 0;
    if (bits >= MIN_RSA_BITS) return "RS256";
    throw new AuthSetupError(`${name} is an RSA key of ${bits} bits; supported keys: ${supported}`);
  }
  throw new AuthSetupError(`${name} is a key of kind ${kind ?? "unknown"}; supported keys: ${supported}`);
}
