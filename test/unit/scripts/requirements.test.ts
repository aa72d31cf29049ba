import { describe, expect, it } from "vitest";
import { nodeFault, packagesFault } from "../../../scripts/requirements.mjs";

describe("the Node version check", () => {
  it.each(["18.20.0", "20.10.9"])("rejects %s with a one-line message", (version) => {
    expect(nodeFault(version)).toMatch(/^Node .* is too old: .*20\.11/);
  });
  it.each(["20.11.0", "20.20.2", "22.0.0", "24.1.0"])("accepts %s", (version) =>
    expect(nodeFault(version)).toBeNull(),
  );
});

describe("the package check", () => {
  it("accepts installed packages", () => expect(packagesFault()).toBeNull());

  it("explains in one line what to do if packages are missing", () => {
    const fault = packagesFault(() => {
      throw new Error("Cannot find module 'uWebSockets.js'\nRequire stack: …");
    });
    expect(fault).toBe("The packages are not installed: run npm ci first.");
  });
});
