import { createVerifier, TokenError as JwtError, TOKEN_ERROR_CODES as codes } from "fast-jwt";
import type { Clock } from "../core/clock.ts";
import { publicKey, secretKey, type TokenKey } from "./jwt-keys.ts";
import { pastedToken } from "./pasted-token.ts";
import { subjectFault } from "./subject.ts";

export interface TokenVerifierOptions {
  /** HS256 secret; at most one of `secret` and `publicKeyPem`. */
  readonly secret?: string | undefined;
  /** Public key for RS256, ES256 or EdDSA, depending on its type. */
  readonly publicKeyPem?: string | undefined;
  /** When set, tokens must have exactly this `iss`. */
  readonly issuer?: string | undefined;
  /** When set, tokens must have this `aud`, alone or in a list. */
  readonly audience?: string | undefined;
  /** Maximum effective `weight` of a token; 1 when absent. */
  readonly maxWeight?: number;
  readonly clock: Clock;
}

/** Contents of a valid token. */
export interface VerifiedToken {
  /** The `sub`: 1..256 characters, none of them a control character. */
  readonly subject: string;
  /** The `exp`, in seconds since the epoch; in the future. */
  readonly expiresAt: number;
  /** The claim `weight`, capped at `maxWeight`; 1 when the token has none. */
  readonly weight: number;
}

export interface TokenVerifier {
  /** False when no key is configured; every token is refused then. */
  readonly configured: boolean;
  /** @throws TokenError when the token is not valid. */
  verify(token: string): VerifiedToken;
}

/** `expired` leads to close code 4408, all others to 4401. */
export type TokenFault = "not_configured" | "malformed" | "signature" | "claim" | "not_yet_valid" | "expired";

/** Why a token was refused. The message fits a close reason (123 bytes) and never contains the token. */
export class TokenError extends Error {
  readonly fault: TokenFault;

  constructor(fault: TokenFault, message: string) {
    super(message);
    this.name = "TokenError";
    this.fault = fault;
  }
}

/** Longer tokens are refused before they are hashed. Real ones are much shorter. */
const MAX_TOKEN_CHARS = 16_384;
/** Tolerated clock difference to the issuer of a token with `nbf`. */
const NOT_BEFORE_SKEW_MS = 5_000;
/** A smaller weight would starve its owner. */
const MIN_WEIGHT = 0.01;
/** The largest time that a Date can represent, in seconds. */
const MAX_TIME_SECONDS = 8_640_000_000_000;

/**
 * Creates the verifier of the authenticated endpoint. Only the algorithm of the configured key is accepted, regardless
 * of the token's header. Results are not cached: a check takes microseconds, and a cache could accept expired tokens.
 *
 * @throws AuthSetupError when the key is not usable.
 */
export function createTokenVerifier(options: TokenVerifierOptions): TokenVerifier {
  const { secret, publicKeyPem } = options;
  if (secret !== undefined) return verifierOf(secretKey(secret), options);
  if (publicKeyPem !== undefined) return verifierOf(publicKey(publicKeyPem), options);
  const message = "authentication is not set up on this server";
  return {
    configured: false,
    verify() {
      throw new TokenError("not_configured", message);
    },
  };
}

type Claims = Readonly<Record<string, unknown>>;

function verifierOf({ algorithm, key }: TokenKey, options: TokenVerifierOptions): TokenVerifier {
  const { issuer, audience, clock, maxWeight = 1 } = options;
  const required = ["exp", "sub", ...(issuer ? ["iss"] : []), ...(audience ? ["aud"] : [])];
  const check = createVerifier({
    key,
    algorithms: [algorithm],
    requiredClaims: required,
    // The library accepts any value if it is given an empty string. The settings refuse empty strings as well.
    ...(issuer ? { allowedIss: [issuer] } : {}),
    ...(audience ? { allowedAud: [audience] } : {}),
    cache: false,
    complete: true,
    // Times are checked below with the injected clock, to the millisecond.
    ignoreExpiration: true,
    ignoreNotBefore: true,
  });
  return {
    configured: true,
    verify(token) {
      if (token.length > MAX_TOKEN_CHARS) {
        throw new TokenError("malformed", `the token is longer than ${MAX_TOKEN_CHARS} characters`);
      }
      let decoded: { header: Claims; payload: Claims };
      try {
        decoded = check(pastedToken(token)) as typeof decoded;
      } catch (error) {
        throw refusal(error, algorithm, required);
      }
      // The library ignores an empty or null `crit`, which RFC 7515 (4.1.11) requires to be refused.
      if ("crit" in decoded.header)
        throw new TokenError("malformed", "the token's crit header is not supported");
      return checkClaims(decoded.payload, clock.wall(), maxWeight);
    },
  };
}

function checkClaims(claims: Claims, wallMs: number, maxWeight: number): VerifiedToken {
  const { sub, exp, nbf, weight = 1 } = claims as Record<"sub" | "exp" | "nbf" | "weight", unknown>;
  const fault = subjectFault(sub);
  if (fault !== undefined) throw new TokenError("claim", `the token's sub ${fault}`);
  if (!isTime(exp)) throw new TokenError("claim", "the token's exp must be a time in seconds");
  if (nbf !== undefined && !isTime(nbf))
    throw new TokenError("claim", "the token's nbf must be a time in seconds");
  if (exp * 1000 <= wallMs) throw new TokenError("expired", "the token has expired");
  if (nbf !== undefined && nbf * 1000 > wallMs + NOT_BEFORE_SKEW_MS) {
    throw new TokenError("not_yet_valid", "the token is not valid yet");
  }
  if (typeof weight !== "number" || !(weight >= MIN_WEIGHT)) {
    throw new TokenError("claim", `the token's weight must be a number of at least ${MIN_WEIGHT}`);
  }
  return { subject: sub as string, expiresAt: exp, weight: Math.min(weight, maxWeight) };
}

function isTime(value: unknown): value is number {
  return typeof value === "number" && value >= 0 && value <= MAX_TIME_SECONDS;
}

/** Converts an error of the library. Its own messages are not used, since they may quote claims. */
function refusal(error: unknown, algorithm: string, required: readonly string[]): TokenError {
  const { code, message } = error instanceof JwtError ? error : { code: undefined, message: "" };
  const claim = (names: readonly string[]) =>
    names.find((name) => message.includes(` ${name} claim`)) ?? "claims";
  switch (code) {
    case codes.missingRequiredClaim:
      return new TokenError("claim", `the token has no ${claim(required)}`);
    case codes.invalidClaimValue:
    case codes.invalidClaimType:
      return new TokenError(
        "claim",
        `the token's ${message.includes("aud") ? "aud" : "iss"} is not the one this server expects`,
      );
    case codes.invalidAlgorithm:
      return new TokenError("signature", `the token is not signed with ${algorithm}`);
    case codes.missingSignature:
    case codes.invalidSignature:
    case codes.verifyError:
      return new TokenError("signature", "the token's signature is invalid");
    case codes.invalidCritHeader:
      return new TokenError("malformed", "the token's crit header is not supported");
    default:
      return new TokenError("malformed", "the token is not a JSON Web Token");
  }
}
