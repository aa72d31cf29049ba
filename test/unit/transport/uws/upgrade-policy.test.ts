import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createAddressResolver } from "../../../../src/auth/client-address.ts";
import { createHostPolicy } from "../../../../src/auth/host-policy.ts";
import { createOriginPolicy } from "../../../../src/auth/origin-policy.ts";
import { createTokenSigner } from "../../../../src/auth/token-signer.ts";
import { createTokenVerifier, TokenError } from "../../../../src/auth/token-verifier.ts";
import { AddressLimits } from "../../../../src/transport/uws/address-limits.ts";
import {
  createUpgradePolicy,
  type UpgradePolicyOptions,
  type UpgradeRequest,
  type UpgradeDecision,
} from "../../../../src/transport/uws/upgrade-policy.ts";
import { CountingMetrics } from "../../../support/counting-metrics.ts";
import { VirtualClock } from "../../../support/virtual-clock.ts";

const SECRET = "a secret of forty characters, just for us";
const clock = new VirtualClock();
const sign = createTokenSigner({ secret: SECRET, clock });
const verifier = createTokenVerifier({ secret: SECRET, clock });

function knock(facts: Partial<UpgradeRequest> = {}, options: Partial<UpgradePolicyOptions> = {}) {
  const metrics = new CountingMetrics();
  const decide = createUpgradePolicy({
    allowAnonymous: true,
    maxConnections: 10,
    originPolicy: createOriginPolicy({ allowedOrigins: ["https://chat.example.org"] }),
    hostPolicy: createHostPolicy({ listenHost: "127.0.0.1", allowedHosts: ["chat.example.org"] }),
    resolveAddress: createAddressResolver(["10.0.0.1"]),
    tokenVerifier: verifier,
    metrics,
    addresses: null,
    connections: () => 0,
    subjectFull: () => false,
    draining: () => false,
    ...options,
  });
  const decision = decide({
    endpoint: "anonymous",
    host: "localhost:8000",
    origin: "",
    query: new URLSearchParams(),
    authorization: "",
    protocols: "",
    peer: "192.0.2.7",
    forwardedFor: "",
    ...facts,
  });
  return { decision, refused: metrics.refused, hits: metrics.hits };
}

const authenticated = (facts: Partial<UpgradeRequest> = {}, options: Partial<UpgradePolicyOptions> = {}) =>
  knock({ endpoint: "authenticated", ...facts }, options);
const withToken = (token: string) => ({ query: new URLSearchParams({ token }) });

function admitted(decision: UpgradeDecision) {
  if (decision.kind !== "admit") throw new Error(`not admitted: ${JSON.stringify(decision)}`);
  return decision;
}

/** An address that may have so many sockets and upgrades, and has these already. */
function crowded(maxConnections: number, upgradesPerMinute: number, sockets: number): AddressLimits {
  const addresses = new AddressLimits({ maxConnections, upgradesPerMinute, clock });
  for (let index = 0; index < sockets; index++) {
    addresses.refusal("192.0.2.7");
    addresses.opened("192.0.2.7");
  }
  return addresses;
}

/** Facts and options that are each refused for one reason, in the order in which the door looks. */
const reasons = [
  {
    reason: "host",
    decision: { kind: "reject", status: 421 },
    facts: { host: "evil.example" },
    options: {},
  },
  {
    reason: "origin",
    decision: { kind: "reject", status: 403 },
    facts: { origin: "https://evil.example" },
    options: {},
  },
  {
    reason: "draining",
    decision: { kind: "refuse", code: 1012 },
    facts: {},
    options: { draining: () => true },
  },
  {
    reason: "limit",
    decision: { kind: "refuse", code: 1013 },
    facts: {},
    options: { connections: () => 10 },
  },
  {
    reason: "token",
    decision: { kind: "refuse", code: 4401 },
    facts: { endpoint: "authenticated" as const },
    options: {},
  },
];

describe("the door's limits", () => {
  it.each([
    ["connections", {}, { connections: () => 10 }],
    ["address_connections", {}, { addresses: crowded(3, 100, 3) }],
    ["upgrade_rate", {}, { addresses: crowded(100, 3, 3) }],
    [
      "client_connections",
      { endpoint: "authenticated" as const, ...withToken(sign("ada", 60)) },
      { subjectFull: (subject: string) => subject === "ada" },
    ],
  ] as [string, Partial<UpgradeRequest>, Partial<UpgradePolicyOptions>][])(
    "%s: 1013 with a time to come back, counted",
    (limit, facts, options) => {
      const { decision, refused, hits } = knock(facts, options);
      if (decision.kind !== "refuse") throw new Error(JSON.stringify(decision));
      expect(decision.code).toBe(1013);
      const { retry_after_ms: wait } = JSON.parse(decision.reason) as { retry_after_ms: number };
      expect(wait).toBeGreaterThan(0);
      expect(Number.isInteger(wait)).toBe(true);
      expect([refused, hits]).toEqual([["limit"], [limit]]);
    },
  );

  it("answers a flood of upgrades from one address with HTTP 503, and lets the others in", () => {
    const addresses = crowded(1000, 5, 10);
    expect(knock({}, { addresses }).decision).toEqual({
      kind: "reject",
      status: 503,
      message: "Too many sockets are opened from your address.",
      retryAfterMs: expect.any(Number) as number,
    });
    admitted(knock({ peer: "192.0.2.8" }, { addresses }).decision);
  });

  it("counts an address before it looks at a token, since a check costs more than a refusal", () => {
    const tokenVerifier = { configured: true, verify: () => expect.unreachable() };
    const facts = { endpoint: "authenticated" as const, ...withToken("x") };
    expect(knock(facts, { tokenVerifier, addresses: crowded(100, 1, 1) }).decision).toMatchObject({
      code: 1013,
    });
  });

  it("counts a whole IPv6 /64 as one address, and clients behind a trusted proxy apart", () => {
    const addresses = new AddressLimits({ maxConnections: 10, upgradesPerMinute: 1, clock });
    const code = (facts: Partial<UpgradeRequest>) => {
      const { decision } = knock(facts, { addresses });
      return decision.kind === "refuse" ? decision.code : decision.kind;
    };
    expect(code({ peer: "2001:db8:1:2::1" })).toBe("admit");
    expect(code({ peer: "2001:db8:1:2:ffff::2" })).toBe(1013);
    expect(code({ peer: "10.0.0.1", forwardedFor: "203.0.113.9" })).toBe("admit");
    expect(code({ peer: "10.0.0.1", forwardedFor: "203.0.113.10" })).toBe("admit");
    expect(code({ peer: "10.0.0.1", forwardedFor: "198.51.100.1, 203.0.113.9" })).toBe(1013);
  });
});

describe("the door", () => {
  it("admits a client that sends no origin, and charges its address", () => {
    const { decision, refused } = knock();
    expect(decision).toEqual({
      kind: "admit",
      identity: { address: "192.0.2.7", token: null, streaming: false },
      subprotocol: "",
    });
    expect(refused).toEqual([]);
  });

  it("charges the address behind a trusted proxy, and IPv6 by its /64", () => {
    const via = (peer: string, forwardedFor: string) =>
      admitted(knock({ peer, forwardedFor }).decision).identity.address;
    expect(via("10.0.0.1", "6.6.6.6, 203.0.113.9")).toBe("203.0.113.9");
    expect(via("192.0.2.7", "203.0.113.9")).toBe("192.0.2.7");
    expect(via("2001:db8:1:2:3:4:5:6", "")).toBe("2001:db8:1:2::/64");
  });

  it.each(reasons)("refuses for $reason", ({ facts, options, decision, reason }) => {
    const knocked = knock(facts, options);
    expect(knocked.decision).toMatchObject(decision);
    expect(knocked.refused).toEqual([reason]);
  });

  it("names the first reason of several, and counts it alone", () => {
    for (let first = 0; first < reasons.length; first++) {
      const rest = reasons.slice(first);
      const facts = Object.assign({}, ...rest.map((each) => each.facts)) as Partial<UpgradeRequest>;
      const options = Object.assign({}, ...rest.map((each) => each.options)) as Partial<UpgradePolicyOptions>;
      const { decision, refused } = knock(facts, options);
      expect(decision).toMatchObject(reasons[first]?.decision ?? {});
      expect(refused).toEqual([reasons[first]?.reason]);
    }
  });

  it("says what was wrong with host and origin in the HTTP answer", () => {
    expect(knock({ host: "evil.example" }).decision).toMatchObject({
      message: expect.stringContaining("ALLOWED_HOSTS") as string,
    });
    expect(knock({ origin: "https://evil.example" }).decision).toMatchObject({
      message: expect.stringContaining("CORS_ORIGINS") as string,
    });
    expect(knock({ host: "" }).decision).toMatchObject({ kind: "reject", status: 421 });
  });

  it("takes a listed origin, and the own one", () => {
    admitted(knock({ origin: "https://chat.example.org" }).decision);
    admitted(knock({ origin: "http://localhost:8000" }).decision);
    expect(knock({ origin: "http://localhost:9000" }).decision).toMatchObject({ status: 403 });
  });

  it("lets a page opened from disk in to be closed with 4403 and the name of the setting", () => {
    const { decision, refused } = knock({ origin: "null" }, { draining: () => true });
    expect(decision).toMatchObject({
      kind: "refuse",
      code: 4403,
      reason: expect.stringContaining("CORS_ORIGINS=null") as string,
    });
    expect(refused).toEqual(["origin"]);
    admitted(
      knock({ origin: "null" }, { originPolicy: createOriginPolicy({ allowedOrigins: ["null"] }) }).decision,
    );
  });

  it("says when to come back in a reason that is JSON", () => {
    const { decision } = knock({}, { connections: () => 11 });
    if (decision.kind !== "refuse") throw new Error("admitted");
    expect(JSON.parse(decision.reason)).toEqual({ retry_after_ms: expect.any(Number) as number });
    admitted(knock({}, { connections: () => 9 }).decision);
  });

  it("turns anonymous clients away where the operator wants none, and says where to go", () => {
    const { decision, refused } = knock({}, { allowAnonymous: false });
    expect(decision).toMatchObject({
      kind: "refuse",
      code: 4401,
      reason: expect.stringContaining("/ws/chat/auth") as string,
    });
    expect(refused).toEqual(["anonymous"]);
    admitted(authenticated(withToken(sign("ada", 60)), { allowAnonymous: false }).decision);
  });

  it.each([
    ["", "", false, ""],
    ["stream=true", "", true, ""],
    ["stream=1", "", true, ""],
    ["stream=false", "", false, ""],
    ["stream=", "", false, ""],
    ["stream=yes", "", false, ""],
    ["", "chat.v1", true, "chat.v1"],
    ["", "other,  chat.v1 ", true, "chat.v1"],
    ["stream=false", "chat.v1", false, "chat.v1"],
    ["", "chat.v2", false, ""],
    ["", "CHAT.V1", false, ""],
  ])(
    "hears from query %j and subprotocols %j that it streams: %j",
    (query, protocols, streaming, subprotocol) => {
      const decision = admitted(knock({ query: new URLSearchParams(query), protocols }).decision);
      expect(decision).toMatchObject({ identity: { streaming }, subprotocol });
    },
  );
});

describe("the authenticated door", () => {
  const expiresAt = () => Math.floor(clock.wall() / 1000) + 60;

  it("takes the token from the query, the header or the subprotocols, and never echoes it", () => {
    const token = sign("ada", 60);
    const places: Partial<UpgradeRequest>[] = [
      withToken(token),
      { authorization: `Bearer ${token}` },
      { protocols: `chat.v1, bearer.${token}` },
      { ...withToken(token), authorization: `bearer ${token}`, protocols: `bearer.${token}` },
    ];
    for (const facts of places) {
      const decision = admitted(authenticated(facts).decision);
      expect(decision.identity.token).toEqual({ subject: "ada", expiresAt: expiresAt(), weight: 1 });
      expect(["", "chat.v1"]).toContain(decision.subprotocol);
    }
  });

  it("does not look at a token on the anonymous endpoint", () => {
    expect(admitted(knock(withToken("rubbish")).decision).identity.token).toBeNull();
  });

  it.each([
    ["none", {}, 4401, "a token is missing"],
    ["an empty one", withToken(""), 4401, "a token is missing"],
    [
      "two different ones",
      { ...withToken(sign("ada", 60)), authorization: `Bearer ${sign("bob", 60)}` },
      4401,
      "two different tokens",
    ],
    ["rubbish", withToken("rubbish"), 4401, "token"],
    [
      "a signature of somebody else",
      withToken(createTokenSigner({ secret: SECRET.toUpperCase(), clock })("ada", 60)),
      4401,
      "token",
    ],
    ["an expired one", withToken(sign("ada", 0)), 4408, "the token has expired"],
    ["one of yesterday", withToken(sign("ada", -86_400)), 4408, "the token has expired"],
    ["a very long one", withToken("x".repeat(20_000)), 4401, "longer than"],
  ])("refuses %s and says so", (_what, facts, code, said) => {
    const { decision, refused } = authenticated(facts);
    expect(decision).toMatchObject({ kind: "refuse", code, reason: expect.stringContaining(said) as string });
    expect(refused).toEqual(["token"]);
  });

  it("refuses everybody while it is not set up, token or not, and says what to set", () => {
    const tokenVerifier = createTokenVerifier({ clock });
    for (const facts of [{}, withToken(sign("ada", 60))]) {
      expect(authenticated(facts, { tokenVerifier }).decision).toMatchObject({
        code: 4401,
        reason: expect.stringContaining("JWT_SECRET") as string,
      });
    }
  });

  it("does not take a fault of its own for a bad token", () => {
    const tokenVerifier = {
      configured: true,
      verify(): never {
        throw new TypeError("a bug");
      },
    };
    expect(() => authenticated(withToken("x"), { tokenVerifier })).toThrow(TypeError);
  });

  it("cuts any reason to what a close frame holds, at a character", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom("a", "é", "€", "😀"), maxLength: 200 }), (text) => {
        const tokenVerifier = {
          configured: true,
          verify(): never {
            throw new TokenError("claim", text);
          },
        };
        const { decision } = authenticated(withToken("x"), { tokenVerifier });
        if (decision.kind !== "refuse") throw new Error("admitted");
        const bytes = Buffer.byteLength(decision.reason);
        expect(bytes).toBeLessThanOrEqual(123);
        expect(decision.reason).not.toMatch(/\p{Surrogate}/u);
        if (Buffer.byteLength(text) <= 123) {
          expect(decision.reason).toBe(text);
        } else {
          expect(bytes).toBeGreaterThan(115);
          expect(decision.reason.endsWith("…")).toBe(true);
          expect(text.startsWith(decision.reason.slice(0, -1))).toBe(true);
        }
      }),
    );
  });
});
