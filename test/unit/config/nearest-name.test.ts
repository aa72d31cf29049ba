import { describe, expect, it } from "vitest";
import { nearestName } from "../../../src/config/nearest-name.ts";

describe("nearestName", () => {
  it("finds the closest name", () => {
    expect(nearestName("MAX_CONECTIONS", ["MAX_CONNECTIONS", "MAX_SESSIONS"])).toBe("MAX_CONNECTIONS");
    expect(nearestName("MAX_SESIONS", ["MAX_CONNECTIONS", "MAX_SESSIONS"])).toBe("MAX_SESSIONS");
  });

  it("finds none where none is close enough to be meant", () => {
    expect(nearestName("AI_ZZZZZZZZZZ", ["MAX_CONNECTIONS", "PORT"])).toBeUndefined();
  });
});
