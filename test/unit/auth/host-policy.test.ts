import { describe, expect, it } from "vitest";
import { createHostPolicy, isLoopback } from "../../../src/auth/host-policy.ts";

const check = (listenHost: string, allowedHosts: string[], host: string | undefined) =>
  createHostPolicy({ listenHost, allowedHosts }).check(host);

describe("host policy on a loopback address (trap 24c)", () => {
  it.each([
    "127.0.0.1",
    "127.0.0.1:8000",
    "localhost",
    "LocalHost:8000",
    "localhost.",
    "[::1]",
    "[::1]:8000",
    "192.168.1.7:80",
  ])("accepts %s", (host) => {
    expect(check("127.0.0.1", [], host)).toEqual({ allowed: true });
  });

  it.each([
    "rebind.example",
    "rebind.example:8000",
    "127.0.0.1.rebind.example",
    "localhost.rebind.example",
    "127.0.0.1@rebind.example",
    "rebind.example#localhost",
    "[::1].rebind.example",
    "[::1",
    "0x7f.0.0.1",
    "2130706433",
    "127.0.0.1:8000:80",
    "localhost:port",
    " ",
  ])("refuses %j", (host) => {
    expect(check("127.0.0.1", [], host)).toEqual({
      allowed: false,
      message: `Host ${JSON.stringify(host)} is refused: this server does not accept that host name`,
    });
  });

  it("refuses a request without a Host header", () => {
    for (const host of [undefined, ""]) expect(check("::1", [], host)).toMatchObject({ allowed: false });
  });

  it("accepts names of ALLOWED_HOSTS in any notation and with any port", () => {
    const allowed = ["Chat.Example.org.", "other.example:8443", "bücher.example"];
    for (const host of [
      "chat.example.org",
      "CHAT.EXAMPLE.ORG.:443",
      "other.example",
      "xn--bcher-kva.example:1",
    ]) {
      expect(check("127.0.0.1", allowed, host)).toEqual({ allowed: true });
    }
    expect(check("127.0.0.1", allowed, "evil.chat.example.org")).toMatchObject({ allowed: false });
  });

  it("has no start warning", () => {
    expect(createHostPolicy({ listenHost: "127.0.0.1", allowedHosts: [] }).startWarning).toBeUndefined();
  });

  it("truncates a long host in its message", () => {
    const result = check("127.0.0.1", [], "x".repeat(4000));
    expect(JSON.stringify(result).length).toBeLessThan(250);
  });
});

describe("host policy on other addresses", () => {
  it("accepts every host and warns at start while ALLOWED_HOSTS is not set", () => {
    const policy = createHostPolicy({ listenHost: "0.0.0.0", allowedHosts: [] });
    expect(policy.startWarning).toMatch(/0\.0\.0\.0.*ALLOWED_HOSTS/);
    for (const host of ["any.example", "10.0.0.1:8000", undefined])
      expect(policy.check(host)).toEqual({ allowed: true });
  });

  it("enforces ALLOWED_HOSTS once it is set, without a warning", () => {
    const policy = createHostPolicy({ listenHost: "::", allowedHosts: ["chat.example.org", "::1"] });
    expect(policy.startWarning).toBeUndefined();
    expect(policy.check("chat.example.org:443")).toEqual({ allowed: true });
    expect(policy.check("[0:0:0:0:0:0:0:1]:80")).toEqual({ allowed: true });
    for (const host of ["rebind.example", "10.0.0.1", "localhost", undefined, ""]) {
      expect(policy.check(host)).toMatchObject({ allowed: false });
    }
  });
});

describe("isLoopback", () => {
  it.each(["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "::ffff:127.0.0.1", "0:0:0:0:0:0:0:1"])(
    "is true for %s",
    (host) => {
      expect(isLoopback(host)).toBe(true);
    },
  );

  it.each(["0.0.0.0", "::", "10.0.0.1", "128.0.0.1", "chat.example", "127.example", ""])(
    "is false for %j",
    (host) => {
      expect(isLoopback(host)).toBe(false);
    },
  );
});
