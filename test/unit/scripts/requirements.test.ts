import { describe, expect, it } from "vitest";
import { nodeFault, socketLibraryFault } from "../../../scripts/requirements.mjs";

function failing(message: string) {
  return () => {
    throw new Error(message);
  };
}

describe("the check of Node's version", () => {
  it.each(["18.20.0", "20.10.9"])("refuses %s in one line", (version) => {
    expect(nodeFault(version)).toMatch(/^Node .* is too old: .*20\.11/);
  });
  it.each(["20.11.0", "20.20.2", "22.0.0", "24.1.0"])("takes %s", (version) =>
    expect(nodeFault(version)).toBeNull(),
  );
});

describe("the check of the socket library", () => {
  it("is content here", () => expect(socketLibraryFault()).toBeNull());

  it.each([
    ["Cannot find module 'uWebSockets.js'", "run npm ci first"],
    [
      "This version of uWS.js supports only …\n\nError: /lib/libc.so.6: version `GLIBC_2.38' not found (required by …)",
      "needs glibc 2.38, which this system lacks (it has glibc",
    ],
    ["Error: libc.musl-x86_64.so.1: cannot open", "Alpine"],
    [
      "This version of uWS.js supports only …\n\nError: Cannot find module './uws_linux_x64_131.node'",
      "no binary for Node",
    ],
  ])("makes one clear line of %j", (message, expected) => {
    const fault = socketLibraryFault(failing(message));
    expect(fault).toContain(expected);
    expect(fault).not.toContain("\n");
  });
});
