/** Prints a token for the authenticated endpoint, signed according to the settings of the server. */
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

  --sub      subject of the token: the client that owns context and conversations
  --expires  lifetime, such as 90s, 15m, 1h or 30d (default 1h)
  --weight   share of the engine relative to other waiting clients (default 1, at most MAX_CLIENT_WEIGHT)
  --key      file of a private key in PEM format (RSA, EC P-256 or Ed25519) to sign with instead of JWT_SECRET

JWT_SECRET, JWT_ISSUER and JWT_AUDIENCE are read from .env and the environment, as the server reads them.
Only the token is written to standard output.
`;

const NO_SECRET = `JWT_SECRET is not set, so tokens cannot be signed. Generate one and add it to .env:

  echo "JWT_SECRET=$(openssl rand -base64 48)" >> .env

or, without openssl:

  node -e 'console.log("JWT_SECRET=" + require("crypto").randomBytes(48).toString("base64"))' >> .env

Then restart the server. To sign with a key pair, use --key <private key file>.
`;

/** Wrong command-line arguments. Prints the message and the usage, exit code 2. */
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

function createToken(args: string[]): string {
  const { sub, lifetimeSeconds, weight, keyFile } = readOptions(args);
  const { config } = loadFrom(process.cwd());
  if (keyFile === undefined && config.JWT_SECRET === undefined) throw new AuthSetupError(NO_SECRET.trimEnd());
  const names = { issuer: config.JWT_ISSUER, audience: config.JWT_AUDIENCE, clock: systemClock };
  const key = keyFile === undefined ? { secret: config.JWT_SECRET } : { privateKeyPem: readKey(keyFile) };
  const token = createTokenSigner({ ...key, ...names })(sub, lifetimeSeconds, weight);
  assertAccepted(token, config);
  return token;
}

/** Fails early if the server with these settings would refuse the token. @throws AuthSetupError */
function assertAccepted(token: string, config: Config): void {
  const pem = publicKeyPem({ text: config.JWT_PUBLIC_KEY, file: config.JWT_PUBLIC_KEY_FILE });
  const verifier = createTokenVerifier({
    secret: config.JWT_SECRET,
    publicKeyPem: pem,
    issuer: config.JWT_ISSUER,
    audience: config.JWT_AUDIENCE,
    clock: systemClock,
  });
  if (!verifier.configured) return; // The token is for a server whose public key is configured elsewhere.
  try {
    verifier.verify(token);
  } catch (error) {
    if (!(error instanceof TokenError)) throw error;
    throw new AuthSetupError(`A server with these settings would refuse this token: ${error.message}`);
  }
}

function readKey(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "unknown error";
    throw new AuthSetupError(`--key: ${path} cannot be read (${code})`);
  }
}

try {
  process.stdout.write(`${createToken(process.argv.slice(2))}\n`);
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
