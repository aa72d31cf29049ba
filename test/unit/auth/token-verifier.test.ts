import { createHmac, generateKeyPairSync, sign as signBytes, type KeyObject } from "node:crypto";
import { beforeAll, describe, expect, it } from "vitest";
import { AuthSetupError } from "../../../src/auth/auth-setup-error.ts";
import { publicKeyPem } from "../../../src/auth/jwt-keys.ts";
import { createTokenSigner } from "../../../src/auth/token-signer.ts";
import {
  createTokenVerifier,
  TokenError,
  type TokenVerifierOptions,
  type VerifiedToken,
} from "../../../src/auth/token-verifier.ts";
import type { Clock } from "../../../src/core/clock.ts";

const SECRET = "a secret of forty characters, just for us";
const NOW = 1_800_000_000;

let wallMs = NOW * 1000;
const clock: Clock = { now: () => 0, wall: () => wallMs, after: () => () => {} };

interface Pair {
  readonly publicPem: string;
  readonly privatePem: string;
  readonly privateKey: KeyObject;
}

function pairOf({ publicKey, privateKey }: { publicKey: KeyObject; privateKey: KeyObject }): Pair {
  return {
    publicPem: publicKey.export({ type: "spki", format: "pem" }).toString(),
    privatePem: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    privateKey,
  };
}

const rsaPair = (modulusLength: number) => pairOf(generateKeyPairSync("rsa", { modulusLength }));
const ecPair = (namedCurve: string) => pairOf(generateKeyPairSync("ec", { namedCurve }));
const pairs: Record<"RS256" | "ES256" | "EdDSA", Pair> = {
  RS256: rsaPair(2048),
  ES256: ecPair("P-256"),
  EdDSA: pairOf(generateKeyPairSync("ed25519")),
};

function encode(value: unknown): string {
  return Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
}

/** A handmade token, for contents that the library would not sign. */
function forge(header: object, claims: unknown, secret: string = SECRET): string {
  const input = `${encode({ typ: "JWT", ...header })}.${encode(claims)}`;
  return `${input}.${createHmac("sha256", secret).update(input).digest("base64url")}`;
}

const good = { sub: "alice", exp: NOW + 3600 };
const hs256 = (claims: unknown) => forge({ alg: "HS256" }, claims);

function verify(token: string, options: Partial<TokenVerifierOptions> = {}): VerifiedToken {
  return createTokenVerifier({ secret: SECRET, clock, ...options }).verify(token);
}

function refusal(token: string, options: Partial<TokenVerifierOptions> = {}): TokenError {
  try {
    verify(token, options);
  } catch (error) {
    if (!(error instanceof TokenError)) throw error;
    expect(error.message).not.toContain(token);
    expect(Buffer.byteLength(error.message)).toBeLessThanOrEqual(123);
    return error;
  }
  throw new Error("the token was accepted");
}

beforeAll(() => {
  wallMs = NOW * 1000;
});

describe("createTokenVerifier", () => {
  it("accepts a token with what was pasted along, but nothing inside it", () => {
    const token = hs256(good);
    const broken = `${token.slice(0, 40)}\r\n  ${token.slice(40)}`;
    for (const pasted of [`Bearer ${token}`, `"${token}"\n`, `„Bearer ${token}“`, broken, `\u200B${token}`]) {
      expect(verify(pasted).subject).toBe("alice");
    }
    for (const changed of [`${token}x`, `Basic ${token}`, `${token} ${token}`]) {
      expect(() => verify(changed)).toThrow(TokenError);
    }
  });

  it("returns subject and expiry of a valid token", () => {
    expect(verify(hs256(good))).toEqual({ subject: "alice", expiresAt: NOW + 3600, weight: 1 });
  });

  it("caps the weight at maxWeight and refuses an invalid one", () => {
    const maxWeight = 4;
    expect(verify(hs256({ ...good, weight: 2.5 }), { maxWeight }).weight).toBe(2.5);
    expect(verify(hs256({ ...good, weight: 1e9 }), { maxWeight }).weight).toBe(4);
    expect(verify(hs256({ ...good, weight: 1e9 })).weight).toBe(1);
    for (const weight of [0, -1, "2", null, 0.001]) {
      const { fault, message } = refusal(hs256({ ...good, weight }), { maxWeight });
      expect([fault, message]).toEqual(["claim", "the token's weight must be a number of at least 0.01"]);
    }
  });

  it.each(Object.keys(pairs) as (keyof typeof pairs)[])(
    "accepts %s tokens according to the type of the public key",
    (name) => {
      const { publicPem, privatePem } = pairs[name];
      const token = createTokenSigner({ privateKeyPem: privatePem, clock })("bob", 60);
      expect(JSON.parse(Buffer.from(token.split(".")[0] ?? "", "base64url").toString())).toMatchObject({
        alg: name,
      });
      const options = { secret: undefined, publicKeyPem: publicPem };
      expect(verify(token, options)).toEqual({ subject: "bob", expiresAt: NOW + 60, weight: 1 });
      const other = name === "EdDSA" ? pairs.ES256 : pairs.EdDSA;
      expect(refusal(token, { ...options, publicKeyPem: other.publicPem }).fault).toBe("signature");
    },
  );

  it("accepts a public key whose line breaks are written as \\n", () => {
    const pem = publicKeyPem({ text: pairs.ES256.publicPem.replaceAll("\n", String.raw`\n`) });
    const token = createTokenSigner({ privateKeyPem: pairs.ES256.privatePem, clock })("bob", 60);
    expect(verify(token, { secret: undefined, publicKeyPem: pem }).subject).toBe("bob");
  });

  it("refuses every token with a reason when no key is configured", () => {
    const verifier = createTokenVerifier({ clock });
    expect(verifier.configured).toBe(false);
    const error = refusal(hs256(good), { secret: undefined });
    expect(error.fault).toBe("not_configured");
    expect(error.message).toBe("authentication is not set up on this server");
  });
});

describe("claims of a token (trap 10)", () => {
  it("refuses a token without exp or sub", () => {
    expect(refusal(hs256({ sub: "alice" })).message).toBe("the token has no exp");
    expect(refusal(hs256({ exp: NOW + 10 })).message).toBe("the token has no sub");
  });

  it.each([null, "soon", String(NOW + 10), [NOW + 10], {}, -1, true, 1e300])("refuses exp %j", (exp) => {
    expect(refusal(hs256({ sub: "alice", exp })).fault).toBe("claim");
  });

  it("refuses an exp that overflows to Infinity", () => {
    expect(refusal(hs256(`{"sub":"alice","exp":1e999}`)).fault).toBe("claim");
  });

  it.each([null, "", "  ", 7, ["alice"], {}, "a\nb", "a\u0000", "\u0085", "\ud800", "x".repeat(257)])(
    "refuses sub %j",
    (sub) => {
      expect(refusal(hs256({ ...good, sub })).fault).toBe("claim");
    },
  );

  it("accepts a sub of up to 256 characters of any script", () => {
    expect(verify(hs256({ ...good, sub: "é".repeat(256) })).subject).toHaveLength(256);
    expect(verify(hs256({ ...good, sub: "李雷 😀" })).subject).toBe("李雷 😀");
  });

  it("requires the configured issuer", () => {
    const options = { issuer: "me" };
    expect(refusal(hs256(good), options).message).toBe("the token has no iss");
    expect(refusal(hs256({ ...good, iss: "you" }), options).message).toBe(
      "the token's iss is not the one this server expects",
    );
    expect(refusal(hs256({ ...good, iss: ["me"] }), options).fault).toBe("claim");
    expect(verify(hs256({ ...good, iss: "me" }), options).subject).toBe("alice");
  });

  it("requires the configured audience, alone or in a list", () => {
    const options = { audience: "chat" };
    expect(refusal(hs256(good), options).message).toBe("the token has no aud");
    for (const aud of ["other", "", [], ["other"], null, "chat2"]) {
      expect(refusal(hs256({ ...good, aud }), options).fault).toBe("claim");
    }
    expect(verify(hs256({ ...good, aud: "chat" }), options).subject).toBe("alice");
    expect(verify(hs256({ ...good, aud: ["x", "chat"] }), options).subject).toBe("alice");
  });

  it("accepts any iss and aud when none is configured", () => {
    expect(verify(hs256({ ...good, iss: "any", aud: "any" })).subject).toBe("alice");
  });
});

describe("expiry of a token (trap 11)", () => {
  it("refuses an expired token without iat, even if it was accepted before", () => {
    const verifier = createTokenVerifier({ secret: SECRET, clock });
    const token = hs256({ sub: "alice", exp: NOW + 1 });
    try {
      expect(verifier.verify(token).subject).toBe("alice");
      wallMs = (NOW + 1) * 1000 - 1;
      expect(verifier.verify(token).subject).toBe("alice");
      wallMs = (NOW + 1) * 1000;
      expect(() => verifier.verify(token)).toThrow(
        expect.objectContaining({ fault: "expired", message: "the token has expired" }),
      );
    } finally {
      wallMs = NOW * 1000;
    }
  });

  it("refuses a token before its nbf, with a tolerance for clock skew", () => {
    expect(refusal(hs256({ ...good, nbf: NOW + 6 })).fault).toBe("not_yet_valid");
    expect(verify(hs256({ ...good, nbf: NOW + 5 })).subject).toBe("alice");
    expect(refusal(hs256({ ...good, nbf: "now" })).fault).toBe("claim");
  });
});

describe("one algorithm per key (trap 12)", () => {
  it.each(["none", "None", "NONE", "", null])("refuses an unsigned token with alg %j", (alg) => {
    for (const signature of ["", "AA"]) {
      expect(refusal(`${encode({ alg })}.${encode(good)}.${signature}`).fault).toMatch(/signature|malformed/);
    }
  });

  it("refuses a token whose signature was cut off", () => {
    expect(refusal(hs256(good).replace(/[^.]*$/, "")).message).toBe("the token's signature is invalid");
  });

  it.each(["HS384", "HS512", "RS256", "ES256", "EdDSA"])(
    "refuses the header alg %s with an HS256 secret",
    (alg) => {
      expect(refusal(forge({ alg }, good)).message).toBe("the token is not signed with HS256");
    },
  );

  it("refuses HS256 tokens signed with the public key as the secret", () => {
    for (const { publicPem } of Object.values(pairs)) {
      for (const secret of [publicPem, publicPem.trim(), `${publicPem}\n`]) {
        const token = forge({ alg: "HS256" }, good, secret);
        expect(refusal(token, { secret: undefined, publicKeyPem: publicPem }).fault).toBe("signature");
      }
    }
  });

  it("refuses other RSA algorithms with an RSA key", () => {
    const { publicPem, privateKey } = pairs.RS256;
    const input = `${encode({ alg: "RS512" })}.${encode(good)}`;
    const token = `${input}.${signBytes("sha512", Buffer.from(input), privateKey).toString("base64url")}`;
    expect(refusal(token, { secret: undefined, publicKeyPem: publicPem }).message).toBe(
      "the token is not signed with RS256",
    );
  });

  it.each([["exp"], ["b64"], [], null, "", 0, "x"])("refuses a header with crit %j", (crit) => {
    expect(refusal(forge({ alg: "HS256", crit, b64: true }, good)).fault).toBe("malformed");
  });

  it("refuses a signature of another secret, and a modified payload", () => {
    expect(refusal(forge({ alg: "HS256" }, good, `${SECRET}x`)).fault).toBe("signature");
    const [head, , tail] = hs256(good).split(".");
    expect(refusal(`${head}.${encode({ ...good, sub: "mallory" })}.${tail}`).fault).toBe("signature");
  });

  it.each([
    "",
    ".",
    "..",
    "a.b",
    "a.b.c",
    "....",
    " ",
    "\u0000",
    "é.é.é",
    `${encode({ alg: "HS256" })}.${encode("[]")}.AA`,
  ])("refuses %j, which is not a token", (token) => {
    const { secret } = { secret: SECRET };
    expect(() => verify(token, { secret })).toThrow(TokenError);
  });

  it("refuses an overlong token before it is hashed", () => {
    expect(refusal(`${hs256(good)}${"A".repeat(20_000)}`).message).toMatch(/longer than 16384/);
  });
});

describe("key settings (traps 12, 13)", () => {
  const start = (options: Partial<TokenVerifierOptions>) => () => createTokenVerifier({ clock, ...options });

  it("refuses a secret under 32 bytes, including an empty one", () => {
    expect(start({ secret: "x".repeat(31) })).toThrow(
      new AuthSetupError("JWT_SECRET has 31 bytes; use at least 32"),
    );
    expect(start({ secret: "" })).toThrow(/0 bytes/);
    expect(start({ secret: "é".repeat(16) })).not.toThrow();
  });

  it("refuses a public key as the secret, even with text before it", () => {
    const { publicPem } = pairs.RS256;
    for (const secret of [publicPem, ` \n${publicPem}`, `x${publicPem}`])
      expect(start({ secret })).toThrow(/JWT_PUBLIC_KEY/);
    expect(start({ secret: `{"kty":"RSA","n":"${"x".repeat(50)}","e":"AQAB"}` })).toThrow(/JWT_PUBLIC_KEY/);
  });

  it.each([" ", "\n", "\t", "\uFEFF", "\u200b", "x"])("refuses a public key with %j before it", (before) => {
    expect(start({ publicKeyPem: before + pairs.ES256.publicPem })).toThrow(/with nothing before it/);
  });

  it("refuses weak and unsupported keys and names their type", () => {
    const bad = {
      "RSA key of 1024 bits": rsaPair(1024),
      "curve secp384r1": ecPair("P-384"),
      "curve secp256k1": ecPair("secp256k1"),
      "kind ed448": pairOf(generateKeyPairSync("ed448")),
      "kind rsa-pss": pairOf(generateKeyPairSync("rsa-pss", { modulusLength: 2048 })),
      "kind x25519": pairOf(generateKeyPairSync("x25519")),
    };
    for (const [text, { publicPem }] of Object.entries(bad)) {
      expect(start({ publicKeyPem: publicPem })).toThrow(AuthSetupError);
      expect(start({ publicKeyPem: publicPem })).toThrow(text);
    }
  });

  it("refuses an empty text, garbage and a damaged key, without quoting them", () => {
    for (const publicKeyPem of ["", "abc"]) {
      expect(start({ publicKeyPem })).toThrow(/must begin with the line -----BEGIN PUBLIC KEY-----/);
    }
    const broken = "-----BEGIN PUBLIC KEY-----\nhush\n-----END PUBLIC KEY-----";
    expect(start({ publicKeyPem: broken })).toThrow(
      new AuthSetupError("JWT_PUBLIC_KEY is not a valid public key in PEM format"),
    );
  });

  it("names a key file that cannot be read", () => {
    expect(() => publicKeyPem({ file: "/nowhere/key.pem" })).toThrow(
      /^JWT_PUBLIC_KEY_FILE: \/nowhere\/key.pem .*ENOENT/,
    );
    expect(publicKeyPem({})).toBeUndefined();
  });
});
