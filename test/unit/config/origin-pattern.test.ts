import { describe, expect, it } from "vitest";
import { canonicalOriginPattern } from "../../../src/config/origin-pattern.ts";

describe("canonicalOriginPattern", () => {
  it.each([
    ["*", "*"],
    ["NULL", "null"],
    ["https://chat.example.org", "https://chat.example.org"],
    ["https://chat.example.org/", "https://chat.example.org"],
    ["HTTPS://Chat.Example.ORG", "https://chat.example.org"],
    ["https://chat.example.org:443", "https://chat.example.org"],
    ["http://chat.example.org:8080/", "http://chat.example.org:8080"],
    ["https://bücher.example", "https://xn--bcher-kva.example"],
    ["http://[0:0::1]:8000", "http://[::1]:8000"],
    ["https://*.example.org", "https://*.example.org"],
    ["https://*.Example.org:8443/", "https://*.example.org:8443"],
    ["https://*.example.org:443", "https://*.example.org"],
    ["tauri://localhost", "tauri://localhost"],
    ["Capacitor://localhost/", "capacitor://localhost"],
    ["ionic://localhost", "ionic://localhost"],
    [
      "chrome-extension://abcdefghijklmnopabcdefghijklmnop/",
      "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
    ],
    ["moz-extension://*", "moz-extension://*"],
    ["vscode-webview://0a1b2c", "vscode-webview://0a1b2c"],
    ["app://obsidian.md", "app://obsidian.md"],
    ["app://.", "app://."],
    ["app://-", "app://-"],
    ["exp://192.168.1.5:8081", "exp://192.168.1.5:8081"],
    ["file://", "file://"],
    ["file:///", "file://"],
  ])("converts %s to %s", (word, pattern) => {
    expect(canonicalOriginPattern(word)).toBe(pattern);
    expect(canonicalOriginPattern(pattern)).toBe(pattern);
  });

  it.each([
    "chat.example.org",
    "*.example.org",
    "//chat.example.org",
    "https://",
    "https://chat.example.org/path",
    "https://chat.example.org?x",
    "https://chat.example.org#x",
    "https://user@chat.example.org",
    "https://chat.example.org:99999",
    "https://*",
    "https://*.",
    "https://*example.org",
    "https://chat-*.example.org",
    "https://chat.*.org",
    "https://*.*.example.org",
    "https://chat.example.*",
    "http://localhost:*",
    "https://*.192.168.1.1",
    "https://*.[::1]",
    "http*://chat.example.org",
    "ws://chat.example.org",
    "wss://chat.example.org",
    "data://x",
    "tauri://localhost/index.html",
    "moz-extension://a*",
    "file:///home/me/page.html",
    "https://a.example https://b.example",
  ])("refuses %s", (word) => {
    expect(() => canonicalOriginPattern(word)).toThrow();
  });

  it("states that web sockets have no origin and what a wildcard may stand for", () => {
    expect(() => canonicalOriginPattern("wss://a.example")).toThrow(/no page has an origin with wss:/);
    expect(() => canonicalOriginPattern("https://a*.example.org")).toThrow(/only stand for whole subdomains/);
  });
});
