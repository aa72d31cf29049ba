import { spawnSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { createTokenVerifier } from "../../../src/auth/token-verifier.ts";
import { systemClock } from "../../../src/core/clock.ts";

const root = join(import.meta.dirname, "../../..");
const loader = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href;
const folder = mkdtempSync(join(tmpdir(), "token-"));
const SECRET = "0123456789abcdef0123456789abcdef";

afterAll(() => rmSync(folder, { recursive: true }));

/** Runs the script like `npm run token`, in a folder with its own `.env`. */
function runToken(args: string[], env: Record<string, string> = {}) {
  const clean = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(JWT|AI|MAX|LOCAL)_/.test(name)),
  );
  return spawnSync(process.execPath, ["--import", loader, join(root, "scripts/token.ts"), ...args], {
    cwd: folder,
    encoding: "utf8",
    env: { ...clean, ...env },
  });
}

describe("npm run token", () => {
  it("prints only a token, which the server accepts", () => {
    const env = { JWT_SECRET: SECRET, JWT_ISSUER: "me", JWT_AUDIENCE: "chat" };
    const { stdout, stderr, status } = runToken(["--sub", "alice", "--expires", "90s"], env);
    expect({ stderr, status }).toEqual({ stderr: "", status: 0 });
    expect(stdout).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    const verifier = createTokenVerifier({
      secret: SECRET,
      issuer: "me",
      audience: "chat",
      clock: systemClock,
    });
    const { subject, expiresAt } = verifier.verify(stdout.trim());
    expect(subject).toBe("alice");
    expect(Math.abs(expiresAt - Date.now() / 1000 - 90)).toBeLessThan(30);
  });

  it("reads the secret from .env", () => {
    writeFileSync(join(folder, ".env"), `JWT_SECRET="${SECRET}"\n`);
    try {
      const { stdout } = runToken(["--sub", "alice"]);
      const { expiresAt } = createTokenVerifier({ secret: SECRET, clock: systemClock }).verify(stdout.trim());
      expect(Math.abs(expiresAt - Date.now() / 1000 - 3600)).toBeLessThan(30);
    } finally {
      rmSync(join(folder, ".env"));
    }
  });

  it("explains how to create a secret when none is set", () => {
    const { stdout, stderr, status } = runToken(["--sub", "alice"]);
    expect({ stdout, status }).toEqual({ stdout: "", status: 1 });
    expect(stderr).toContain("openssl rand -base64 48");
  });

  it("signs with a private key, and refuses one that does not match the server's public key", () => {
    const mine = generateKeyPairSync("ed25519");
    const other = generateKeyPairSync("ed25519");
    const keyFile = join(folder, "key.pem");
    writeFileSync(keyFile, mine.privateKey.export({ type: "pkcs8", format: "pem" }));
    const pem = (pair: typeof mine) => pair.publicKey.export({ type: "spki", format: "pem" }).toString();
    const good = runToken(["--sub", "alice", "--key", keyFile], { JWT_PUBLIC_KEY: pem(mine) });
    const verifier = createTokenVerifier({ publicKeyPem: pem(mine), clock: systemClock });
    expect(verifier.verify(good.stdout.trim()).subject).toBe("alice");
    const bad = runToken(["--sub", "alice", "--key", keyFile], { JWT_PUBLIC_KEY: pem(other) });
    expect(bad).toMatchObject({ status: 1, stdout: "" });
    expect(bad.stderr).toMatch(/would refuse this token: the token's signature is invalid/);
  });

  it("exits with 2 for invalid arguments and with 1 for an invalid setting", () => {
    const env = { JWT_SECRET: SECRET };
    expect(runToken([], env)).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/--sub is missing\n\nusage:/),
    });
    expect(runToken(["--sub", "a", "--expires", "soon"], env).stderr).toMatch(/--expires must be a duration/);
    expect(runToken(["--sub", "a", "--weight", "much"], env).stderr).toMatch(/--weight must be a number/);
    expect(runToken(["--sub", "a", "--nonsense", "2"], env).status).toBe(2);
    const short = runToken(["--sub", "a"], { JWT_SECRET: "hush" });
    expect(short).toMatchObject({ status: 1, stderr: expect.not.stringContaining("hush") });
  });
});
