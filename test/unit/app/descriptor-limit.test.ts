import { describe, expect, it } from "vitest";
import { descriptorLimit, descriptorWarning } from "../../../src/app/descriptor-limit.ts";

const line = (soft: string): string =>
  `Limit                     Soft Limit           Hard Limit           Units\n` +
  `Max open files            ${soft.padEnd(20)} 1048576              files\n`;

describe("the limit of open files", () => {
  it("leaves descriptors for everything but connections", () => {
    expect(descriptorLimit(() => line("20000"))).toBe(19_744);
    expect(descriptorLimit(() => line("300"))).toBe(150);
  });

  it.each(["", "Max open files unlimited", line("unlimited")])("is unknown for %j", (text) => {
    expect(descriptorLimit(() => text)).toBeUndefined();
  });

  it("is known on Linux", () => {
    if (process.platform === "linux") expect(descriptorLimit()).toBeGreaterThan(0);
    else expect(descriptorLimit()).toBeUndefined();
  });

  it("is reported if the settings allow more connections", () => {
    const settings = { MAX_CONNECTIONS: 1000, MAX_HTTP_CONNECTIONS: 500 };
    expect(descriptorWarning(settings, 1500)).toBeUndefined();
    expect(descriptorWarning(settings, undefined)).toBeUndefined();
    expect(descriptorWarning(settings, 768)).toMatch(/allows 768 connections.*allow 1500.*ulimit -n 1756/);
  });
});
