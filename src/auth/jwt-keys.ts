import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import { MIN_SECRET_BYTES } from "../core/ids.ts";
import { AuthSetupError } from "./auth-setup-error.ts";

/** The algorithms of tokens; the kind of the key picks one, and tokens of any other are refused. */
export type TokenAlgorithm = "HS256" | "RS256" | "ES256" | "EdDSA";

/** A key in the form that is handed on: canonical PEM, or the secret as it is. */
export interface TokenKey {
  readonly algorithm: TokenAlgorithm;
  readonly key: string;
}

const MIN_RSA_BITS = 2048;

/**
 * Checks an HS256 secret.
 *
 * @throws AuthSetupError when it is short, or holds what is public: a PEM block or the JWK of an asymmetric key.
 */
export function secretKey(secret: string): TokenKey {
  const bytes = Buffer.byteLength(secret);
  if (bytes < MIN_SECRET_BYTES) {
    throw new AuthSetupError(`JWT_SECRET has ${bytes} bytes; at least ${MIN_SECRET_BYTES} are needed`);
  }
  // Whoever knows a public key could sign HS256 tokens with it.
  if (secret.includes("-----BEGIN ") || /"kty"\s*:\s*"(RSA|EC|OKP)"/.test(secret)) {
    throw new AuthSetupError("JWT_SECRET holds a key of a key pair; put the public key into JWT_PUBLIC_KEY");
  }
  return { algorithm: "HS256", key: secret };
}

/**
 * Reads a public key in PEM and finds its algorithm: RSA from 2048 bits (RS256), EC on P-256 (ES256), Ed25519 (EdDSA).
 *
 * @throws AuthSetupError for anything else, also for a PEM block that does not stand at the very beginning.
 */
export function publicKey(pem: string): TokenKey {
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(pem)) {
    throw new AuthSetupError(
      "JWT_PUBLIC_KEY holds a private key; only the public half belongs on the server",
    );
  }
  if (!/^-----BEGIN (RSA )?PUBLIC KEY-----\r?\n/.test(pem)) {
    throw new AuthSetupError(
      "JWT_PUBLIC_KEY must begin with the line -----BEGIN PUBLIC KEY-----, without blanks before it",
    );
  }
  const key = attempt(() => createPublicKey(pem), "JWT_PUBLIC_KEY is no public key in PEM");
  return {
    algorithm: algorithmOf(key, "JWT_PUBLIC_KEY"),
    key: key.export({ type: "spki", format: "pem" }).toString(),
  };
}

/**
 * Reads a private key in PEM, for signing tokens.
 *
 * @throws AuthSetupError as {@link publicKey} does; keys with a passphrase are refused.
 */
export function privateKey(pem: string): TokenKey {
  const key = attempt(
    () => createPrivateKey(pem),
    "the key file holds no private key in PEM without a passphrase",
  );
  return {
    algorithm: algorithmOf(key, "the private key"),
    key: key.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

/**
 * The PEM text of JWT_PUBLIC_KEY, with `\n` taken as a new line, or of the file that JWT_PUBLIC_KEY_FILE names.
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
    const code = (error as NodeJS.ErrnoException).code ?? "unknown fault";
    throw new AuthSetupError(`JWT_PUBLIC_KEY_FILE: ${file} cannot be read (${code})`);
  }
}

function attempt(read: () => KeyObject, fault: string): KeyObject {
  try {
    return read();
  } catch {
    // The parser's own message says nothing that helps, and might quote the key.
    throw new AuthSetupError(fault);
  }
}

function algorithmOf(key: KeyObject, name: string): TokenAlgorithm {
  const kind = key.asymmetricKeyType;
  const details = key.asymmetricKeyDetails ?? {};
  const allowed = "RSA from 2048 bits, EC on P-256, Ed25519";
  if (kind === "ed25519") return "EdDSA";
  if (kind === "ec") {
    if (details.namedCurve === "prime256v1") return "ES256";
    throw new AuthSetupError(
      `${name} is on the curve ${details.namedCurve ?? "unknown"}; allowed: ${allowed}`,
    );
  }
  if (kind === "rsa") {
    const bits = details.modulusLength ?? 0;
    if (bits >= MIN_RSA_BITS) return "RS256";
    throw new AuthSetupError(`${name} is an RSA key of ${bits} bits; allowed: ${allowed}`);
  }
  throw new AuthSetupError(`${name} is a key of the kind ${kind ?? "unknown"}; allowed: ${allowed}`);
}
