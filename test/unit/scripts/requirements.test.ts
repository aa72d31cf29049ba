import { describe, expect, it } from "vitest";
import { nodeFault, packagesFault } from "../../../scripts/requirements.mjs";

describe("the check of Node's version", () => {
  it.each(["18.20.0", "20.10.9"])("refuses %s in one line", (version) => {
    expect(nodeFault(version)).toMatch(/^Node .* is too old: .*20\.11/);
  });
  it.each(["20.11.0", "20.20.2", "22.0.0", "24.1.0"])("takes %s", (version) =>
    expect(nodeFault(version)).toBeNull(),
  );
});

describe("the check of the packages", () => {
  it("finds the installed ones", () => expect(packagesFault()).toBeNull());

  it("says in one line what to do where they are missing", () => {
    const fault = packagesFault(() => {
      throw new Error("Cannot find module 'uWebSockets.js'\nRequire stack: …");
    });
    expect(fault).toBe("The packages are not installed: run npm ci first.");
  });
});
