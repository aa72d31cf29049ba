import { describe, expect, it } from "vitest";
import { createAddressResolver } from "../../../../src/auth/client-address.ts";
import { createHostPolicy } from "../../../../src/auth/host-policy.ts";
import { createOriginPolicy } from "../../../../src/auth/origin-policy.ts";
import { createTokenSigner } from "../../../../src/auth/token-signer.ts";
import { createTokenVerifier } from "../../../../src/auth/token-verifier.ts";
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

function decideOn(facts: Partial<UpgradeRequest> = {}, options: Partial<UpgradePolicyOptions> = {}) {
  const metrics = new CountingMetrics();
  const decide = createUpgradePolicy({
    allowAnonymous: true,
    originPolicy: createOriginPolicy({ allowedOrigins: ["https://chat.example.org"] }),
    hostPolicy: createHostPolicy({ listenHost: "127.0.0.1", allowedHosts: ["chat.example.org"] }),
    resolveAddress: createAddressResolver(["10.0.0.1"]),
    tokenVerifier: verifier,
    metrics,
    addresses: null,
    full: () => false,
    subjectFull: () => false,
    draining: () => false,
    ...options,
  });
  const decision = decide({
    endpoint: "anonymous",
    host: "localhost:8000",
    origin: "",
    query: new URLSearchParams(),
    authorizations: [],
    contradiction: undefined,
    protocols: "",
    peer: "192.0.2.7",
    forwardedFor: "",
    ...facts,
  });
  return { decision, refused: metrics.refused, hits: metrics.hits };
}

const authenticated = (facts: Partial<UpgradeRequest> = {}, options: Partial<UpgradePolicyOptions> = {}) =>
  decideOn({ endpoint: "authenticated", ...facts }, options);
const withToken = (token: string) => ({ query: new URLSearchParams({ token }) });

function admitted(decision: UpgradeDecision) {
  if (decision.kind !== "admit") throw new Error(`not admitted: ${JSON.stringify(decision)}`);
  return decision;
}

/** Limits of addresses where 192.0.2.7 has `sockets` open sockets already. */
function crowded(maxConnections: number, upgradesPerMinute: number, sockets: number): AddressLimits {
  const addresses = new AddressLimits({ maxConnections, upgradesPerMinute, clock });
  for (let index = 0; index < sockets; index++) {
    addresses.refusal("192.0.2.7");
    addresses.opened("192.0.2.7");
  }
  return addresses;
}

/** Facts and options that are refused for one reason each, in the order of the checks. */
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
    options: { full: () => true },
  },
  {
    reason: "token",
    decision: { kind: "refuse", code: 4401 },
    facts: { endpoint: "authenticated" as const },
    options: {},
  },
];

describe("the upgrade policy under limits", () => {
  it.each([
    ["connections", {}, { full: () => true }],
    ["address_connections", {}, { addresses: crowded(3, 100, 3) }],
    ["upgrade_rate", {}, { addresses: crowded(100, 3, 3) }],
    [
      "client_connections",
      { endpoint: "authenticated" as const, ...withToken(sign("ada", 60)) },
      { subjectFull: (subject: string) => subject === "ada" },
    ],
  ] as [string, Partial<UpgradeRequest>, Partial<UpgradePolicyOptions>][])(
    "refuses over the limit %s with 1013 and a time to wait, and counts it",
    (limit, facts, options) => {
      const { decision, refused, hits } = decideOn(facts, options);
      if (decision.kind !== "refuse") throw new Error(JSON.stringify(decision));
      expect(decision.code).toBe(1013);
      const { retry_after_ms: wait } = JSON.parse(decision.reason) as { retry_after_ms: number };
      expect(wait).toBeGreaterThan(0);
      expect(Number.isInteger(wait)).toBe(true);
      expect([refused, hits]).toEqual([["limit"], [limit]]);
    },
  );

  it("rejects a flood of upgrades from one address with HTTP 503, and admits other addresses", () => {
    const addresses = crowded(1000, 5, 10);
    expect(decideOn({}, { addresses }).decision).toEqual({
      kind: "reject",
      status: 503,
      message: "Too many connections from your address; try again later.",
      retryAfterMs: expect.any(Number) as number,
    });
    admitted(decideOn({ peer: "192.0.2.8" }, { addresses }).decision);
  });

  it("checks the limits of an address before the token, which costs more", () => {
    const tokenVerifier = { configured: true, verify: () => expect.unreachable() };
    const facts = { endpoint: "authenticated" as const, ...withToken("x") };
    expect(decideOn(facts, { tokenVerifier, addresses: crowded(100, 1, 1) }).decision).toMatchObject({
      code: 1013,
    });
  });

  it("counts an IPv6 /64 as one address, and clients behind a trusted proxy separately", () => {
    const addresses = new AddressLimits({ maxConnections: 10, upgradesPerMinute: 1, clock });
    const code = (facts: Partial<UpgradeRequest>) => {
      const { decision } = decideOn(facts, { addresses });
      return decision.kind === "refuse" ? decision.code : decision.kind;
    };
    expect(code({ peer: "2001:db8:1:2::1" })).toBe("admit");
    expect(code({ peer: "2001:db8:1:2:ffff::2" })).toBe(1013);
    expect(code({ peer: "10.0.0.1", forwardedFor: "203.0.113.9" })).toBe("admit");
    expect(code({ peer: "10.0.0.1", forwardedFor: "203.0.113.10" })).toBe("admit");
    expect(code({ peer: "10.0.0.1", forwardedFor: "198.51.100.1, 203.0.113.9" })).toBe(1013);
  });
});

describe("the upgrade policy", () => {
  it("admits a client without an origin, and identifies it by its address", () => {
    const { decision, refused } = decideOn();
    expect(decision).toEqual({
      kind: "admit",
      identity: { address: "192.0.2.7", token: null, streaming: false },
      subprotocol: "",
    });
    expect(refused).toEqual([]);
  });

  it("identifies a client by the address behind a trusted proxy, and IPv6 by its /64", () => {
    const via = (peer: string, forwardedFor: string) =>
      admitted(decideOn({ peer, forwardedFor }).decision).identity.address;
    expect(via("10.0.0.1", "6.6.6.6, 203.0.113.9")).toBe("203.0.113.9");
    expect(via("192.0.2.7", "203.0.113.9")).toBe("192.0.2.7");
    expect(via("2001:db8:1:2:3:4:5:6", "")).toBe("2001:db8:1:2::/64");
  });

  it.each(reasons)("refuses for $reason", ({ facts, options, decision, reason }) => {
    const result = decideOn(facts, options);
    expect(result.decision).toMatchObject(decision);
    expect(result.refused).toEqual([reason]);
  });

  it("reports and counts only the first of several reasons", () => {
    for (let first = 0; first < reasons.length; first++) {
      const rest = reasons.slice(first);
      const facts = Object.assign({}, ...rest.map((each) => each.facts)) as Partial<UpgradeRequest>;
      const options = Object.assign({}, ...rest.map((each) => each.options)) as Partial<UpgradePolicyOptions>;
      const { decision, refused } = decideOn(facts, options);
      expect(decision).toMatchObject(reasons[first]?.decision ?? {});
      expect(refused).toEqual([reasons[first]?.reason]);
    }
  });

  it("names the host or origin in the HTTP reply, and no setting", () => {
    expect(decideOn({ host: "evil.example" }).decision).toMatchObject({
      message: expect.stringMatching(/^Host "evil.example" is refused: [a-z ]+$/) as string,
    });
    expect(decideOn({ origin: "https://evil.example" }).decision).toMatchObject({
      message: "Origin https://evil.example may not connect to this server",
    });
    expect(decideOn({ host: "" }).decision).toMatchObject({ kind: "reject", status: 421 });
  });

  it("admits a listed origin, and the server's own one", () => {
    admitted(decideOn({ origin: "https://chat.example.org" }).decision);
    admitted(decideOn({ origin: "http://localhost:8000" }).decision);
    expect(decideOn({ origin: "http://localhost:9000" }).decision).toMatchObject({ status: 403 });
  });

  it("closes the socket of a page opened from disk with 4403", () => {
    const { decision, refused } = decideOn({ origin: "null" }, { draining: () => true });
    expect(decision).toMatchObject({
      kind: "refuse",
      code: 4403,
      reason: expect.stringContaining("Origin: null") as string,
    });
    expect(refused).toEqual(["origin"]);
    admitted(
      decideOn({ origin: "null" }, { originPolicy: createOriginPolicy({ allowedOrigins: ["null"] }) })
        .decision,
    );
  });

  it("sends the time to wait as JSON in the close reason", () => {
    const { decision } = decideOn({}, { full: () => true });
    if (decision.kind !== "refuse") throw new Error("admitted");
    expect(JSON.parse(decision.reason)).toEqual({ retry_after_ms: expect.any(Number) as number });
    admitted(decideOn({}, { full: () => false }).decision);
  });

  it("refuses anonymous clients if they are not allowed, and names the other endpoint", () => {
    const { decision, refused } = decideOn({}, { allowAnonymous: false });
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
    ["stream=True", "", true, ""],
    ["stream=TRUE", "", true, ""],
    ["stream=%20true%20", "", true, ""],
    ["stream=yes", "", true, ""],
    ["stream=On", "", true, ""],
    ["stream=False", "chat.v1", false, "chat.v1"],
    ["stream=0", "chat.v1", false, "chat.v1"],
    ["stream=no", "", false, ""],
    ["", "chat.v1", true, "chat.v1"],
    ["", "other,  chat.v1 ", true, "chat.v1"],
    ["stream=false", "chat.v1", false, "chat.v1"],
    ["", "chat.v2", false, ""],
    ["", "CHAT.V1", false, ""],
  ])(
    "derives from query %j and subprotocols %j whether the socket streams: %j",
    (query, protocols, streaming, subprotocol) => {
      const decision = admitted(decideOn({ query: new URLSearchParams(query), protocols }).decision);
      expect(decision).toMatchObject({ identity: { streaming }, subprotocol });
    },
  );
});

describe("an upgrade request with another value of stream", () => {
  it.each(["2", "tru", "null", "true,true"])("is closed with 1008: %s", (value) => {
    const { decision, refused } = decideOn({ query: new URLSearchParams({ stream: value }) });
    expect(decision).toMatchObject({
      kind: "refuse",
      code: 1008,
      reason: "the query parameter stream must be true or false",
    });
    expect(refused).toEqual(["query"]);
  });
});

describe("an upgrade request whose headers contradict each other", () => {
  it.each(["Host", "Content-Length"])("is rejected with 400: %s", (contradiction) => {
    const { decision, refused } = decideOn({ contradiction });
    expect(decision).toEqual({
      kind: "reject",
      status: 400,
      message: `The request has different ${contradiction} headers; expected one.`,
    });
    expect(refused).toEqual(["headers"]);
  });
});

describe("the upgrade policy of the authenticated endpoint", () => {
  const expiresAt = () => Math.floor(clock.wall() / 1000) + 60;

  it("accepts the token from the query, the header or the subprotocols, and never echoes it", () => {
    const token = sign("ada", 60);
    const places: Partial<UpgradeRequest>[] = [
      withToken(token),
      { authorizations: [`Bearer ${token}`] },
      { protocols: `chat.v1, bearer.${token}` },
      { ...withToken(token), authorizations: [`bearer ${token}`], protocols: `bearer.${token}` },
    ];
    for (const facts of places) {
      const decision = admitted(authenticated(facts).decision);
      expect(decision.identity.token).toEqual({ subject: "ada", expiresAt: expiresAt(), weight: 1 });
      expect(["", "chat.v1"]).toContain(decision.subprotocol);
    }
  });

  it("ignores a token on the anonymous endpoint", () => {
    expect(admitted(decideOn(withToken("rubbish")).decision).identity.token).toBeNull();
  });

  it.each([
    ["a missing token", {}, 4401, "a token is missing"],
    ["an empty token", withToken(""), 4401, "a token is missing"],
    [
      "two different tokens",
      { ...withToken(sign("ada", 60)), authorizations: [`Bearer ${sign("bob", 60)}`] },
      4401,
      "two different tokens",
    ],
    [
      "two different tokens in the query",
      { query: new URLSearchParams(`token=${sign("ada", 60)}&token=${sign("bob", 60)}`) },
      4401,
      "two different tokens",
    ],
    [
      "two different Authorization headers",
      { authorizations: [`Bearer ${sign("ada", 60)}`, `Bearer ${sign("bob", 60)}`] },
      4401,
      "two different tokens",
    ],
    ["text that is not a token", withToken("rubbish"), 4401, "token"],
    [
      "a token signed with another key",
      withToken(createTokenSigner({ secret: SECRET.toUpperCase(), clock })("ada", 60)),
      4401,
      "token",
    ],
    ["an expired token", withToken(sign("ada", 0)), 4408, "the token has expired"],
    ["a token that expired yesterday", withToken(sign("ada", -86_400)), 4408, "the token has expired"],
    ["a token that is too long", withToken("x".repeat(20_000)), 4401, "longer than"],
  ])("refuses %s and reports the reason", (_what, facts, code, text) => {
    const { decision, refused } = authenticated(facts);
    expect(decision).toMatchObject({ kind: "refuse", code, reason: expect.stringContaining(text) as string });
    expect(refused).toEqual(["token"]);
  });

  it("refuses every client while no key is configured", () => {
    const tokenVerifier = createTokenVerifier({ clock });
    for (const facts of [{}, withToken(sign("ada", 60))]) {
      expect(authenticated(facts, { tokenVerifier }).decision).toMatchObject({
        code: 4401,
        reason: "authentication is not set up on this server",
      });
    }
  });

  it("does not report an unexpected error as a bad token", () => {
    const tokenVerifier = {
      configured: true,
      verify(): never {
        throw new TypeError("a bug");
      },
    };
    expect(() => authenticated(withToken("x"), { tokenVerifier })).toThrow(TypeError);
  });
});
