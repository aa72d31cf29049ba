import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { jwtKeyFaults } from "../../../src/auth/jwt-keys.ts";
import { selfSigned } from "../../support/self-signed.ts";

const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
const publicPem = publicKey.export({ type: "spki", format: "pem" }).toString();
const privatePem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
const block = (label: string) => `-----BEGIN ${label}-----\nhush\n-----END ${label}-----\n`;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "jwt-keys-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function fileWith(content: string | Uint8Array): string {
  const file = join(folder, "key.pem");
  writeFileSync(file, content);
  return file;
}

/** Texts that are given in place of a public key, and their names. */
const keys: readonly (readonly [name: string, text: string])[] = [
  ["a private key", privatePem],
  ["a private key", privateKey.export({ type: "sec1", format: "pem" }).toString()],
  ["a private key", block("RSA PRIVATE KEY")],
  ["a private key", block("ENCRYPTED PRIVATE KEY")],
  ["a private key", block("OPENSSH PRIVATE KEY")],
  ["a private key", block("PGP PRIVATE KEY BLOCK")],
  ["a private key", `${publicPem}${privatePem}`],
  ["a private key", "PuTTY-User-Key-File-3: ssh-rsa\nhush"],
  ["a private key", JSON.stringify(privateKey.export({ format: "jwk" }))],
  ["a certificate", selfSigned().cert],
  ["a certificate", block("TRUSTED CERTIFICATE")],
  ["a certificate", block("PKCS7")],
  ["a certificate request", block("NEW CERTIFICATE REQUEST")],
  ["a public key of SSH", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGh1c2g= me@host"],
  ["a public key of SSH", "ecdsa-sha2-nistp256 AAAAhush me@host"],
  ["a key of PGP", block("PGP PUBLIC KEY BLOCK")],
  ["parameters without a key", block("EC PARAMETERS")],
  ["a JSON Web Key", JSON.stringify(publicKey.export({ format: "jwk" }))],
  ["a JSON Web Key", JSON.stringify({ keys: [publicKey.export({ format: "jwk" })] })],
];

describe("jwtKeyFaults", () => {
  it("is empty without keys and for usable keys", () => {
    expect(jwtKeyFaults({})).toEqual([]);
    expect(jwtKeyFaults({ JWT_PUBLIC_KEY: publicPem })).toEqual([]);
    expect(jwtKeyFaults({ JWT_PUBLIC_KEY: publicPem.replaceAll("\n", String.raw`\n`) })).toEqual([]);
    expect(jwtKeyFaults({ JWT_PUBLIC_KEY_FILE: fileWith(publicPem) })).toEqual([]);
    expect(
      jwtKeyFaults({ JWT_PUBLIC_KEY_FILE: fileWith(`\uFEFF${publicPem.replaceAll("\n", "\r\n")}`) }),
    ).toEqual([]);
    expect(jwtKeyFaults({ JWT_SECRET: "0123456789abcdef0123456789abcdef" })).toEqual([]);
  });

  it.each(keys)("names %s with the setting that holds it, and shows none of it", (name, text) => {
    const long = text.padEnd(40);
    for (const [setting, given] of [
      ["JWT_PUBLIC_KEY", text],
      ["JWT_PUBLIC_KEY_FILE", fileWith(text)],
      ["JWT_SECRET", long],
    ] as const) {
      const faults = jwtKeyFaults({ [setting]: given });
      expect(faults).toHaveLength(1);
      expect(faults[0]).toMatch(new RegExp(`^${setting} contains ${name}[;,] `));
      expect(faults[0]).not.toMatch(/hush|AAAA/);
    }
  });

  it.each([
    ["a token", "eyJhbGciOiJIUzI1NiJ9.e30.hush"],
    ["a URL", "https://login.example.org/jwks.json"],
    ["the path of a file", "/etc/keys/public.pem"],
    ["the path of a file", String.raw`C:\keys\public.pem`],
  ])("names %s in JWT_PUBLIC_KEY", (name, text) => {
    expect(jwtKeyFaults({ JWT_PUBLIC_KEY: text })[0]).toMatch(
      new RegExp(`^JWT_PUBLIC_KEY contains ${name}; `),
    );
  });

  it("names what is wrong with a file", () => {
    const faultOf = (content: string | Uint8Array) =>
      jwtKeyFaults({ JWT_PUBLIC_KEY_FILE: fileWith(content) })[0];
    expect(faultOf("")).toMatch(/^JWT_PUBLIC_KEY_FILE: .*key\.pem is empty$/);
    expect(faultOf(publicKey.export({ type: "spki", format: "der" }))).toContain("binary form (DER)");
    expect(faultOf(Buffer.from(`\uFEFF${publicPem}`, "utf16le"))).toContain("is encoded in UTF-16");
    expect(jwtKeyFaults({ JWT_PUBLIC_KEY_FILE: folder })[0]).toContain("cannot be read (EISDIR)");
    expect(jwtKeyFaults({ JWT_PUBLIC_KEY_FILE: join(folder, "none") })[0]).toContain(
      "cannot be read (ENOENT)",
    );
    const inPlace = jwtKeyFaults({ JWT_PUBLIC_KEY_FILE: privatePem })[0];
    expect(inPlace).toBe("JWT_PUBLIC_KEY_FILE contains a key instead of a path; use JWT_PUBLIC_KEY for it");
  });

  it("lists the faults of several settings", () => {
    expect(
      jwtKeyFaults({ JWT_PUBLIC_KEY: privatePem, JWT_PUBLIC_KEY_FILE: "/nowhere/key.pem" }),
    ).toHaveLength(2);
  });
});
