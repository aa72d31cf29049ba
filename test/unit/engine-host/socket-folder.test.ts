import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { createSocketFolder } from "../../../src/engine-host/socket-folder.ts";

describe("createSocketFolder", () => {
  it("creates a new private folder and removes it", () => {
    const [first, second] = [createSocketFolder(), createSocketFolder()];
    const folder = dirname(first.socketPath);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect(second.socketPath).not.toBe(first.socketPath);
    first.remove();
    second.remove();
    expect(existsSync(folder)).toBe(false);
  });

  it("keeps the socket path short enough when the temporary folder's path is long", () => {
    const parent = mkdtempSync(join(tmpdir(), "x".repeat(90)));
    const folder = createSocketFolder(parent);
    expect(Buffer.byteLength(folder.socketPath)).toBeLessThanOrEqual(103);
    folder.remove();
    rmSync(parent, { recursive: true });
  });
});
