import { createVerifier, TokenError as JwtError, TOKEN_ERROR_CODES as codes } from "fast-jwt";
import type { Clock } from "../core/clock.ts";
import { publicKey, secretKey, type TokenKey } from "./jwt-keys.ts";
import { subjectFault } from "./subject.ts";

export interface TokenVerifierOptions {
  /** HS256 secret; at most one of `secret` and `publicKeyPem`. */
  readonly secret?: string | undefined;
  /** RS256, ES256 or EdDSA by its kind. */
  readonly publicKeyPem?: string | undefined;
  /** When set, tokens must carry exactly this `iss`. */
  readonly issuer?: string | undefined;
  /** When set, tokens must carry this `aud`, alone or in a list. */
  readonly audience?: string | undefined;
  /** Most that a token's `weight` counts for; 1 where absent. */
  readonly maxWeight?: number;
  readonly clock: Clock;
}

/** Whom a token names. */
export interface VerifiedToken {
  /** The `sub`: 1..256 characters, none of them a control character. */
  readonly subject: string;
  /** Seconds since the epoch (the `exp`); lies in the future. */
  readonly expiresAt: number;
  /** The claim `weight`, at most the setting's; 1 where the token has none. */
  readonly weight: number;
}

export interface TokenVerifier {
  /** False when no key is configured: then every token is refused. */
  readonly configured: boolean;
  /** @throws TokenError when the token is not good. */
  verify(token: string): VerifiedToken;
}

/** `expired` is close code 4408, all others 4401. */
export type TokenFault = "not_configured" | "malformed" | "signature" | "claim" | "not_yet_valid" | "expired";

/** Why a token was refused. The message is for people, short enough for a close reason, and never holds the token. */
export class TokenError extends Error {
  readonly fault: TokenFault;

  constructor(fault: TokenFault, message: string) {
    super(message);
    this.name = "TokenError";
    this.fault = fault;
  }
}

/** No real token is this long; hashing a longer one would only cost time. */
const MAX_TOKEN_CHARS = 16_384;
/** Clocks of two machines may differ by this much before a fresh token with `nbf` counts as too early. */
const NOT_BEFORE_SKEW_MS = 5_000;
/** A smaller share would starve its owner. */
const MIN_WEIGHT = 0.01;
/** The last second that a Date can show; beyond it sums with milliseconds lose their meaning. */
const LAST_SECOND = 8_640_000_000_000;

/**
 * Builds the verifier of the authenticated endpoint. One key, one algorithm: a token of any other is refused, whatever
 * its header says. Nothing is cached: a check takes microseconds, and a cache would keep tokens alive beyond their end.
 *
 * @throws AuthSetupError when the key cannot be used.
 */
export function createTokenVerifier(options: TokenVerifierOptions): TokenVerifier {
  const { secret, publicKeyPem } = options;
  if (secret !== undefined) return verifierOf(secretKey(secret), options);
  if (publicKeyPem !== undefined) return verifierOf(publicKey(publicKeyPem), options);
  const message = "authentication is not set up on this server (set JWT_SECRET or JWT_PUBLIC_KEY)";
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
    // An empty text would mean "any"; settings refuse one, and here it is not handed on.
    ...(issuer ? { allowedIss: [issuer] } : {}),
    ...(audience ? { allowedAud: [audience] } : {}),
    cache: false,
    complete: true,
    // Checked below, by the clock that was handed in and to the millisecond.
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
        decoded = check(token) as typeof decoded;
      } catch (error) {
        throw refusal(error, algorithm, required);
      }
      // The library takes an empty or null `crit` for none; what is critical and unknown must not be passed over.
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
  return typeof value === "number" && value >= 0 && value <= LAST_SECOND;
}

/** Says a fault of the library in our words; its own messages could quote claims. */
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
        `the token's ${message.includes("aud") ? "aud" : "iss"} is not the one expected here`,
      );
    case codes.invalidAlgorithm:
      return new TokenError("signature", `the token is not signed with ${algorithm}`);
    case codes.missingSignature:
    case codes.invalidSignature:
    case codes.verifyError:
      return new TokenError("signature", "the token's signature is wrong");
    case codes.invalidCritHeader:
      return new TokenError("malformed", "the token's crit header is not supported");
    default:
      return new TokenError("malformed", "the token is not a JSON Web Token");
  }
}
