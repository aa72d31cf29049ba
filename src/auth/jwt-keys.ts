import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import { MIN_SECRET_BYTES } from "../core/ids.ts";
import { keyMaterial } from "./key-material.ts";
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
const BEGINNING = "must begin with the line -----BEGIN PUBLIC KEY-----, with nothing before it";

type PublicKeySetting = "JWT_PUBLIC_KEY" | "JWT_PUBLIC_KEY_FILE";

/** The settings of the key that verifies tokens. */
export interface JwtKeySettings {
  readonly JWT_SECRET?: string | undefined;
  readonly JWT_PUBLIC_KEY?: string | undefined;
  readonly JWT_PUBLIC_KEY_FILE?: string | undefined;
}

/** One line for each setting whose key cannot be used. */
export function jwtKeyFaults(settings: JwtKeySettings): readonly string[] {
  const { JWT_SECRET: secret, JWT_PUBLIC_KEY: text, JWT_PUBLIC_KEY_FILE: file } = settings;
  const checks = [
    () => secret !== undefined && Buffer.byteLength(secret) >= MIN_SECRET_BYTES && secretKey(secret),
    () => text !== undefined && publicKey(publicKeyPem({ text }) ?? ""),
    () => file !== undefined && publicKey(publicKeyPem({ file }) ?? "", "JWT_PUBLIC_KEY_FILE"),
  ];
  return checks.flatMap((check) => {
    try {
      check();
      return [];
    } catch (error) {
      if (!(error instanceof AuthSetupError)) throw error;
      return [error.message];
    }
  });
}

/** Name of an asymmetric key or certificate in a text; undefined if there is none. */
function asymmetricIn(text: string): string | undefined {
  const material = keyMaterial(text);
  if (material?.isKey === true) return material.name;
  return text.includes("-----BEGIN ") ? "an asymmetric key" : undefined;
}

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
  const asymmetric = asymmetricIn(secret);
  if (asymmetric !== undefined) {
    throw new AuthSetupError(
      `JWT_SECRET contains ${asymmetric}, which cannot sign HS256 tokens; set JWT_PUBLIC_KEY to the public key`,
    );
  }
  return { algorithm: "HS256", key: secret };
}

/**
 * Reads a public key in PEM and determines its algorithm: RSA of at least 2048 bits (RS256), EC on P-256 (ES256),
 * Ed25519 (EdDSA).
 *
 * @param setting name of the setting that holds the key, for messages
 * @throws AuthSetupError for anything else, and for text before the PEM block.
 */
export function publicKey(pem: string, setting: PublicKeySetting = "JWT_PUBLIC_KEY"): TokenKey {
  const isPublic = /^-----BEGIN (RSA )?PUBLIC KEY-----\r?\n/.test(pem);
  const other = keyMaterial(pem);
  if (other !== undefined && (!isPublic || other.name === "a private key")) {
    throw new AuthSetupError(`${setting} contains ${other.name}; ${other.advice}. It ${BEGINNING}`);
  }
  if (!isPublic) throw new AuthSetupError(`${setting} ${BEGINNING}`);
  const key = attempt(() => createPublicKey(pem), `${setting} is not a valid public key in PEM format`);
  return {
    algorithm: algorithmOf(key, setting),
    key: key.export({ type: "spki", format: "pem" }).toString(),
  };
}

/**
 * Reads a private key in PEM for signing tokens.
 *
 * @throws AuthSetupError for an unsupported key, like {@link publicKey}, and for one with a passphrase.
 */
export function privateKey(pem: string): TokenKey {
  const other = keyMaterial(pem)?.name;
  const found = other === undefined || other === "a private key" ? "" : ` (it contains ${other})`;
  const key = attempt(
    () => createPrivateKey(pem),
    `the key file does not contain a private key in PEM format without a passphrase${found}`,
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
  if (file.includes("-----BEGIN ")) {
    throw new AuthSetupError(
      "JWT_PUBLIC_KEY_FILE contains a key instead of a path; use JWT_PUBLIC_KEY for it",
    );
  }
  try {
    return textOf(readFileSync(file), file);
  } catch (error) {
    if (error instanceof AuthSetupError) throw error;
    const code = (error as NodeJS.ErrnoException).code ?? "unknown error";
    throw new AuthSetupError(`JWT_PUBLIC_KEY_FILE: ${file} cannot be read (${code})`);
  }
}

/** The text of a key file. @throws AuthSetupError for UTF-16 and for a key in binary form */
function textOf(bytes: Buffer, file: string): string {
  const fault =
    bytes.length === 0
      ? "is empty"
      : bytes[0] === 0x30 && bytes.some((byte) => byte > 0x7f)
        ? "contains a key or certificate in binary form (DER); convert it to PEM: openssl pkey -pubin -inform DER"
        : bytes.includes(0)
          ? "is encoded in UTF-16; save it as UTF-8"
          : null;
  if (fault !== null) throw new AuthSetupError(`JWT_PUBLIC_KEY_FILE: ${file} ${fault}`);
  return bytes.toString("utf8").replace(/^\uFEFF/, "");
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
