import { describe, expect, it } from "vitest";
import { hashOf, newSessionSecret, randomId } from "../../../src/core/ids.ts";

describe("ids", () => {
  it("are URL-safe, unique and of the documented length", () => {
    const ids = Array.from({ length: 1000 }, () => randomId());
    const secrets = Array.from({ length: 1000 }, () => newSessionSecret());
    for (const id of ids) expect(id).toMatch(/^[\w-]{16}$/);
    for (const secret of secrets) expect(Buffer.from(secret, "base64url")).toHaveLength(16);
    expect(new Set([...ids, ...secrets]).size).toBe(2000);
  });

  it("are hashed with SHA-256", () => {
    expect(hashOf("abc")).toBe("ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
    expect(hashOf("abd")).not.toBe(hashOf("abc"));
  });
});
