import { describe, expect, it } from "vitest";
import { createHostPolicy, isLoopback } from "../../../src/auth/host-policy.ts";

const verdict = (listenHost: string, allowedHosts: string[], host: string | undefined) =>
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
  ])("takes %s", (host) => {
    expect(verdict("127.0.0.1", [], host)).toEqual({ allowed: true });
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
  ])("refuses %j and names the setting", (host) => {
    expect(verdict("127.0.0.1", [], host)).toEqual({
      allowed: false,
      message: `Host ${JSON.stringify(host)} is refused: the name is not in ALLOWED_HOSTS`,
    });
  });

  it("refuses a request without a Host", () => {
    for (const host of [undefined, ""]) expect(verdict("::1", [], host)).toMatchObject({ allowed: false });
  });

  it("takes names of ALLOWED_HOSTS in any spelling, with any port", () => {
    const allowed = ["Chat.Example.org.", "other.example:8443", "bücher.example"];
    for (const host of [
      "chat.example.org",
      "CHAT.EXAMPLE.ORG.:443",
      "other.example",
      "xn--bcher-kva.example:1",
    ]) {
      expect(verdict("127.0.0.1", allowed, host)).toEqual({ allowed: true });
    }
    expect(verdict("127.0.0.1", allowed, "evil.chat.example.org")).toMatchObject({ allowed: false });
  });

  it("has nothing to warn of", () => {
    expect(createHostPolicy({ listenHost: "127.0.0.1", allowedHosts: [] }).startWarning).toBeUndefined();
  });

  it("does not echo an endless name", () => {
    const result = verdict("127.0.0.1", [], "x".repeat(4000));
    expect(JSON.stringify(result).length).toBeLessThan(250);
  });
});

describe("host policy on other addresses", () => {
  it("takes every name and warns at start while ALLOWED_HOSTS is not set", () => {
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
    "knows %s",
    (host) => {
      expect(isLoopback(host)).toBe(true);
    },
  );

  it.each(["0.0.0.0", "::", "10.0.0.1", "128.0.0.1", "chat.example", "127.example", ""])(
    "does not take %j for one",
    (host) => {
      expect(isLoopback(host)).toBe(false);
    },
  );
});
