import { describe, expect, it } from "vitest";
import { extractToken } from "../../../src/auth/extract-token.ts";

const found = (token: string) => ({ kind: "token", token });

describe("extractToken", () => {
  it("finds the token in each place", () => {
    expect(extractToken({ query: ["a.b.c"] })).toEqual(found("a.b.c"));
    expect(extractToken({ authorizations: ["Bearer a.b.c"] })).toEqual(found("a.b.c"));
    expect(extractToken({ authorizations: ["bearer   a.b.c "] })).toEqual(found("a.b.c"));
    expect(extractToken({ protocols: ["chat.v1", "bearer.a.b.c"] })).toEqual(found("a.b.c"));
    expect(extractToken({ protocols: "bearer.a.b.c , chat.v1" })).toEqual(found("a.b.c"));
  });

  it("finds no token in empty values and other schemes", () => {
    expect(extractToken({})).toEqual({ kind: "none" });
    expect(extractToken({ query: [""], authorizations: [""], protocols: "" })).toEqual({ kind: "none" });
    expect(extractToken({ authorizations: ["Basic YTpi"], protocols: ["chat.v1", "bearer."] })).toEqual({
      kind: "none",
    });
    expect(extractToken({ authorizations: ["Bearer "] })).toEqual({ kind: "none" });
    expect(extractToken({ authorizations: ["Bearera.b.c"] })).toEqual({ kind: "none" });
  });

  it.each([
    "Bearer a.b.c",
    "bearer  a.b.c",
    "Authorization: Bearer a.b.c",
    '"a.b.c"',
    "“a.b.c”",
    "„a.b.c“",
    "'Bearer a.b.c'",
    ' Bearer "a.b.c" ',
    "a.b.c\n",
    "a.\r\n b.c",
    "\uFEFFa.b.\u200Bc",
  ])("finds the token pasted as %j", (pasted) => {
    expect(extractToken({ query: [pasted] })).toEqual(found("a.b.c"));
    expect(extractToken({ authorizations: [`Bearer ${pasted}`, "Bearer a.b.c"] })).toEqual(found("a.b.c"));
  });

  // A regular expression for the end of the text took a minute.
  it("takes linear time for blanks inside a value", () => {
    const from = performance.now();
    expect(extractToken({ query: [`a${" ".repeat(200_000)}b`] })).toEqual(found("ab"));
    expect(performance.now() - from).toBeLessThan(5000);
  });

  it("accepts the same token in several places", () => {
    expect(extractToken({ query: ["t"], authorizations: ["Bearer t"], protocols: ["bearer.t"] })).toEqual(
      found("t"),
    );
  });

  it("reports two different tokens as a conflict, in any places", () => {
    expect(extractToken({ query: ["a"], authorizations: ["Bearer b"] })).toEqual({ kind: "conflict" });
    expect(extractToken({ query: ["a"], protocols: ["bearer.b"] })).toEqual({ kind: "conflict" });
    expect(extractToken({ protocols: ["bearer.a", "bearer.b"] })).toEqual({ kind: "conflict" });
    expect(extractToken({ query: ["a", "b"] })).toEqual({ kind: "conflict" });
    expect(extractToken({ authorizations: ["Bearer a", "Bearer b"] })).toEqual({ kind: "conflict" });
  });

  it("accepts the same token that is repeated in one place, and ignores empty repetitions", () => {
    expect(extractToken({ query: ["a", "a", ""] })).toEqual(found("a"));
    expect(extractToken({ authorizations: ["Bearer a", "bearer a", "Basic YTpi"] })).toEqual(found("a"));
  });
});
