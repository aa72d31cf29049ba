/** Prints a token for the authenticated endpoint, signed with the settings that the server reads. */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { AuthSetupError } from "../src/auth/auth-setup-error.ts";
import { parseDuration } from "../src/auth/duration.ts";
import { publicKeyPem } from "../src/auth/jwt-keys.ts";
import { createTokenSigner } from "../src/auth/token-signer.ts";
import { createTokenVerifier, TokenError } from "../src/auth/token-verifier.ts";
import { ConfigError } from "../src/config/config-error.ts";
import { loadFrom } from "../src/config/environment.ts";
import type { Config } from "../src/config/schema.ts";
import { systemClock } from "../src/core/clock.ts";

const USAGE = `usage: npm run -s token -- --sub <name> [--expires <duration>] [--weight <number>] [--key <file>]

  --sub      whom the token names (its sub): the client that owns context and conversations
  --expires  90s, 15m, 1h, 30d; 1h where it is absent
  --weight   share of the engine beside others who wait; 1 where it is absent, at most MAX_CLIENT_WEIGHT counts
  --key      private key in PEM (RSA, EC P-256 or Ed25519) to sign with instead of JWT_SECRET

JWT_SECRET, JWT_ISSUER and JWT_AUDIENCE are read as the server reads them: from .env and the environment.
Only the token goes to standard output.
`;

const NO_SECRET = `JWT_SECRET is not set, so there is nothing to sign with. Make one and put it into .env:

  echo "JWT_SECRET=$(openssl rand -base64 48)" >> .env

or, without openssl:

  node -e 'console.log("JWT_SECRET=" + require("crypto").randomBytes(48).toString("base64"))' >> .env

Then start the server again, so that it knows the secret. For a key pair use --key <private key file>.
`;

/** A wrong call: the message and the usage, exit code 2. */
class UsageError extends Error {}

interface Options {
  readonly sub: string;
  readonly lifetimeSeconds: number;
  readonly weight: number | undefined;
  readonly keyFile: string | undefined;
}

function readOptions(args: string[]): Options {
  const options = {
    sub: { type: "string" },
    expires: { type: "string", default: "1h" },
    weight: { type: "string" },
    key: { type: "string" },
    help: { type: "boolean", short: "h" },
  } as const;
  let values;
  try {
    values = parseArgs({ args, options }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  if (values.help) throw new UsageError("");
  if (values.sub === undefined) throw new UsageError("--sub is missing");
  const lifetimeSeconds = parseDuration(values.expires);
  if (lifetimeSeconds === undefined)
    throw new UsageError("--expires must be a duration such as 90s, 15m, 1h or 30d");
  const weight = values.weight === undefined ? undefined : Number(values.weight);
  if (weight !== undefined && !(weight > 0)) throw new UsageError("--weight must be a number above 0");
  return { sub: values.sub, lifetimeSeconds, weight, keyFile: values.key };
}

function mint(args: string[]): string {
  const { sub, lifetimeSeconds, weight, keyFile } = readOptions(args);
  const { config } = loadFrom(process.cwd());
  if (keyFile === undefined && config.JWT_SECRET === undefined) throw new AuthSetupError(NO_SECRET.trimEnd());
  const names = { issuer: config.JWT_ISSUER, audience: config.JWT_AUDIENCE, clock: systemClock };
  const key = keyFile === undefined ? { secret: config.JWT_SECRET } : { privateKeyPem: readKey(keyFile) };
  const token = createTokenSigner({ ...key, ...names })(sub, lifetimeSeconds, weight);
  refuseUseless(token, config);
  return token;
}

/** A token that the server with these settings would refuse is worth nothing; better to hear it here. */
function refuseUseless(token: string, config: Config): void {
  const pem = publicKeyPem({ text: config.JWT_PUBLIC_KEY, file: config.JWT_PUBLIC_KEY_FILE });
  const verifier = createTokenVerifier({
    secret: config.JWT_SECRET,
    publicKeyPem: pem,
    issuer: config.JWT_ISSUER,
    audience: config.JWT_AUDIENCE,
    clock: systemClock,
  });
  if (!verifier.configured) return; // Minted for a server whose public key is set elsewhere.
  try {
    verifier.verify(token);
  } catch (error) {
    if (!(error instanceof TokenError)) throw error;
    throw new AuthSetupError(`the server with these settings would refuse this token: ${error.message}`);
  }
}

function readKey(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "unknown fault";
    throw new AuthSetupError(`--key: ${path} cannot be read (${code})`);
  }
}

try {
  process.stdout.write(`${mint(process.argv.slice(2))}\n`);
} catch (error) {
  if (error instanceof UsageError) {
    process.stderr.write(error.message === "" ? USAGE : `${error.message}\n\n${USAGE}`);
    process.exitCode = error.message === "" ? 0 : 2;
  } else if (error instanceof AuthSetupError || error instanceof ConfigError) {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  } else {
    throw error;
  }
}
