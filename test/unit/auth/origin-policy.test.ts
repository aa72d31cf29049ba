import fc from "../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { createOriginPolicy, type OriginDecision } from "../../../src/auth/origin-policy.ts";

function check(
  allowedOrigins: string[],
  origin: string | undefined,
  host: string | undefined,
): OriginDecision {
  return createOriginPolicy({ allowedOrigins }).check({ origin, host });
}

describe("origin policy without CORS_ORIGINS", () => {
  it("allows clients that send no origin", () => {
    for (const origin of [undefined, ""])
      expect(check([], origin, "a.example")).toEqual({ outcome: "allowed" });
  });

  it.each([
    ["http://localhost:8000", "localhost:8000"],
    ["http://LOCALHOST:8000", "LocalHost:8000"],
    ["http://a.example", "a.example"],
    ["http://a.example", "a.example:80"],
    ["https://a.example", "a.example"],
    ["https://a.example", "a.example:443"],
    ["http://[::1]:8000", "[::1]:8000"],
  ])("allows the same origin %s for Host %s", (origin, host) => {
    expect(check([], origin, host)).toEqual({ outcome: "allowed" });
  });

  it.each([
    ["http://evil.example", "a.example"],
    ["http://a.example:81", "a.example"],
    ["http://a.example", "a.example:443"],
    ["http://sub.a.example", "a.example"],
    ["http://a.example.evil.example", "a.example"],
    ["http://a.example/", "a.example"],
    ["http://a.example http://evil.example", "a.example"],
    ["http://user@a.example", "a.example"],
    ["http://a.example", "evil.example@a.example"],
    ["http://a.example", "a.example/"],
    ["http://a.example", ""],
    ["ws://a.example", "a.example"],
    ["file://", "a.example"],
    ["chrome-extension://a.example", "a.example"],
    ["garbage", "garbage"],
  ])("refuses origin %s for Host %s", (origin, host) => {
    expect(check([], origin, host)).toEqual({
      outcome: "refused",
      message: `Origin ${origin} may not connect to this server`,
    });
  });

  it("refuses a page opened from disk separately, with a message that fits a close reason", () => {
    const result = check([], "null", "a.example");
    expect(result).toMatchObject({ outcome: "refused_null" });
    if (result.outcome === "allowed") throw new Error("unreachable");
    expect(result.message).toContain("Origin: null");
    expect(Buffer.byteLength(result.message)).toBeLessThanOrEqual(123);
  });

  it("refuses an origin that is not ASCII, even if all are allowed", () => {
    const any = createOriginPolicy({ allowedOrigins: ["*"] });
    for (const origin of ["https://bücher.example", "https://a.example\u0000"]) {
      expect(any.check({ origin, host: "a.example" })).toMatchObject({ outcome: "refused" });
    }
  });

  it("truncates a long origin in its message", () => {
    const result = check([], `http://${"x".repeat(4000)}`, "a.example");
    expect(JSON.stringify(result).length).toBeLessThan(200);
  });

  it("allows exactly the origins of its own host", () => {
    const name = fc.domain();
    fc.assert(
      fc.property(name, name, fc.constantFrom("http", "https"), (mine, theirs, scheme) => {
        expect(check([], `${scheme}://${theirs}`, mine).outcome).toBe(
          mine === theirs ? "allowed" : "refused",
        );
        expect(check([], `${scheme}://${mine}`, mine).outcome).toBe("allowed");
      }),
    );
  });
});

describe("origin policy with CORS_ORIGINS", () => {
  it("allows exactly the listed origins and its own, with the CORS value for listed ones", () => {
    const listed = ["https://chat.example.org"];
    expect(check(listed, "https://chat.example.org", "a.example")).toEqual({
      outcome: "allowed",
      cors: "https://chat.example.org",
    });
    expect(check(listed, "http://a.example", "a.example")).toEqual({ outcome: "allowed" });
    for (const origin of [
      "http://chat.example.org",
      "https://chat.example.org:444",
      "https://x.chat.example.org",
    ]) {
      expect(check(listed, origin, "a.example")).toMatchObject({ outcome: "refused" });
    }
  });

  it("allows pages opened from disk only if null is listed", () => {
    expect(check(["null"], "null", "a.example")).toEqual({ outcome: "allowed", cors: "null" });
    expect(check(["null"], "https://evil.example", "a.example")).toMatchObject({ outcome: "refused" });
    expect(check(["https://chat.example.org"], "null", "a.example")).toMatchObject({
      outcome: "refused_null",
    });
  });

  it.each([
    ["tauri://localhost", "tauri://localhost"],
    [
      "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
      "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
    ],
    ["safari-web-extension://1f2e", "safari-web-extension://1F2E"],
    ["file://", "file://"],
    ["moz-extension://*", "moz-extension://0c1d2e3f-0000-4000-8000-000000000000"],
    ["https://*.example.org", "https://chat.example.org"],
    ["https://*.example.org", "https://a.b.example.org"],
    ["https://*.example.org:8443", "https://chat.example.org:8443"],
    ["https://*.xn--bcher-kva.example", "https://chat.xn--bcher-kva.example"],
  ])("with %s in the list allows %s", (listed, origin) => {
    expect(check([listed], origin, "a.example")).toEqual({ outcome: "allowed", cors: origin });
  });

  it.each([
    ["tauri://localhost", "tauri://evil"],
    ["tauri://localhost", "http://localhost"],
    ["file://", "null"],
    ["null", "file://"],
    ["moz-extension://*", "chrome-extension://abc"],
    ["moz-extension://*", "moz-extension://"],
    ["moz-extension://*", "moz-extension://a/b"],
    ["https://*.example.org", "https://example.org"],
    ["https://*.example.org", "https://.example.org"],
    ["https://*.example.org", "https://evil-example.org"],
    ["https://*.example.org", "https://example.org.evil.example"],
    ["https://*.example.org", "https://chat.example.org.evil.example"],
    ["https://*.example.org", "https://evil.example/.example.org"],
    ["https://*.example.org", "https://evil.example?.example.org"],
    ["https://*.example.org", "https://evil.example#.example.org"],
    ["https://*.example.org", "https://evil.example:80@x.example.org"],
    ["https://*.example.org", "https://evil.example:80.example.org"],
    ["https://*.example.org", String.raw`https://evil.example\.example.org`],
    ["https://*.example.org", "https://evil.example .example.org"],
    ["https://*.example.org", "http://chat.example.org"],
    ["https://*.example.org", "https://chat.example.org:8443"],
    ["https://*.example.org:8443", "https://chat.example.org"],
  ])("with %s in the list does not allow %s", (listed, origin) => {
    expect(check([listed], origin, "a.example").outcome).not.toBe("allowed");
  });

  it("allows any origin with *", () => {
    for (const origin of ["https://any.example", "null"]) {
      expect(check(["*"], origin, "a.example")).toEqual({ outcome: "allowed", cors: origin });
    }
  });

  it("with a wildcard allows an origin exactly if its host ends with the domain after a dot", () => {
    const name = fc.domain();
    fc.assert(
      fc.property(name, name, fc.boolean(), (domain, other, inside) => {
        const { origin, hostname } = new URL(`https://${inside ? `${other}.${domain}` : other}`);
        const { outcome } = check([`https://*.${domain}`], origin, "a.invalid");
        expect(outcome === "allowed").toBe(hostname.endsWith(`.${domain}`));
      }),
    );
  });
});
