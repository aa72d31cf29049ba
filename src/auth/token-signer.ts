import { createSigner } from "fast-jwt";
import type { Clock } from "../core/clock.ts";
import { AuthSetupError } from "./auth-setup-error.ts";
import { privateKey, secretKey } from "./jwt-keys.ts";
import { subjectFault } from "./subject.ts";

export interface TokenSignerOptions {
  /** HS256 secret; ignored when `privateKeyPem` is set. */
  readonly secret?: string | undefined;
  /** Private key in PEM. */
  readonly privateKeyPem?: string | undefined;
  readonly issuer?: string | undefined;
  readonly audience?: string | undefined;
  readonly clock: Clock;
}

/**
 * Signs a token for `subject` that expires after `lifetimeSeconds`. `weight` is its relative share of the engine, 1
 * when absent.
 * @throws AuthSetupError when the subject is not usable.
 */
export type TokenSigner = (subject: string, lifetimeSeconds: number, weight?: number) => string;

/**
 * Creates a signer of tokens that a verifier with the same settings accepts, for the command line and for tests. The
 * server itself signs nothing.
 *
 * @throws AuthSetupError when the key is missing or not usable.
 */
export function createTokenSigner(options: TokenSignerOptions): TokenSigner {
  const { secret, privateKeyPem, issuer, audience, clock } = options;
  if (secret === undefined && privateKeyPem === undefined)
    throw new AuthSetupError("no key to sign the token with");
  const { algorithm, key } =
    privateKeyPem === undefined ? secretKey(secret ?? "") : privateKey(privateKeyPem);
  const sign = createSigner({ key, algorithm });
  return (subject, lifetimeSeconds, weight) => {
    const fault = subjectFault(subject);
    if (fault !== undefined) throw new AuthSetupError(`the subject ${fault}`);
    const now = Math.floor(clock.wall() / 1000);
    return sign({
      sub: subject,
      iat: now,
      exp: now + lifetimeSeconds,
      ...(weight !== undefined && { weight }),
      ...(issuer && { iss: issuer }),
      ...(audience && { aud: audience }),
    });
  };
}
