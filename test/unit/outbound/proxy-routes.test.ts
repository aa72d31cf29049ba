import { describe, expect, it } from "vitest";
import { createProxyRoutes, describeProxies } from "../../../src/outbound/proxy-routes.ts";

const settings = {
  HTTPS_PROXY: "http://secure.test:3128",
  HTTP_PROXY: "http://plain.test:3128",
  NO_PROXY: undefined,
};

/** Host of the proxy for an address; undefined for a direct connection. */
function proxyOf(address: string, changes: Partial<Record<keyof typeof settings, string | undefined>> = {}) {
  return createProxyRoutes({ ...settings, ...changes })?.(new URL(address))?.url.hostname;
}

describe("proxy routes", () => {
  it("are null without a proxy, and for empty settings", () => {
    const none = { HTTPS_PROXY: undefined, HTTP_PROXY: "", NO_PROXY: "a.example" };
    expect(createProxyRoutes(none)).toBeNull();
  });

  it("lead https and http addresses to their own proxies", () => {
    expect(proxyOf("https://a.example/v1")).toBe("secure.test");
    expect(proxyOf("http://a.example/v1")).toBe("plain.test");
    expect(proxyOf("https://a.example", { HTTPS_PROXY: undefined })).toBeUndefined();
    expect(proxyOf("http://a.example", { HTTP_PROXY: undefined })).toBeUndefined();
  });

  it.each([
    "http://localhost:11434",
    "https://localhost",
    "http://api.localhost",
    "http://127.0.0.1:8000",
    "http://127.9.9.9",
    "http://[::1]:8000",
    "http://[::ffff:127.0.0.1]",
  ])("reach %s directly", (address) => {
    expect(proxyOf(address)).toBeUndefined();
  });

  it.each([
    ["example.org", "https://example.org"],
    ["example.org", "https://api.example.org:8443"],
    [".example.org", "https://api.example.org"],
    ["*.example.org", "https://api.example.org"],
    ["EXAMPLE.org", "https://Example.ORG"],
    ["example.org.", "https://example.org"],
    ["other.example, example.org", "https://example.org"],
    ["other.example example.org", "https://example.org"],
    ["example.org:443", "https://example.org"],
    ["example.org:80", "http://example.org"],
    ["example.org:8443", "https://example.org:8443"],
    ["bücher.example", "https://bücher.example"],
    ["10.1.2.3", "http://10.1.2.3:8000"],
    ["10.1.2.3:8000", "http://10.1.2.3:8000"],
    ["10.0.0.0/8", "http://10.1.2.3"],
    ["fd00::/8", "http://[fd12::1]"],
    ["fd12:0::1", "http://[fd12::1]"],
    ["[fd12::1]:8000", "http://[fd12::1]:8000"],
    ["*", "https://example.org"],
  ])("with NO_PROXY=%s reach %s directly", (NO_PROXY, address) => {
    expect(proxyOf(address, { NO_PROXY })).toBeUndefined();
  });

  it.each([
    ["example.org", "https://notexample.org"],
    ["example.org", "https://example.org.evil.example"],
    ["example.org:8443", "https://example.org"],
    ["api.example.org", "https://example.org"],
    ["10.0.0.0/8", "http://11.1.2.3"],
    ["10.0.0.0/8", "http://ten.example"],
    ["10.0.0.0/99", "http://10.1.2.3"],
    ["2.3", "http://10.1.2.3"],
    [",, .", "https://example.org"],
  ])("with NO_PROXY=%s reach %s through the proxy", (NO_PROXY, address) => {
    expect(proxyOf(address, { NO_PROXY })).toBeDefined();
  });
});

describe("describeProxies", () => {
  it("names proxies and exceptions without credentials", () => {
    const text = describeProxies({
      HTTPS_PROXY: "http://user:hush@secure.test:3128",
      HTTP_PROXY: undefined,
      NO_PROXY: "a.example,10.0.0.0/8",
    });
    expect(text).toBe(
      "http://secure.test:3128 (HTTPS_PROXY); direct: loopback addresses, a.example, 10.0.0.0/8",
    );
    expect(describeProxies({ HTTPS_PROXY: undefined, HTTP_PROXY: undefined, NO_PROXY: "x" })).toBeNull();
  });
});
