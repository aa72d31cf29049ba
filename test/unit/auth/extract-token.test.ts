import { describe, expect, it } from "vitest";
import { extractToken } from "../../../src/auth/extract-token.ts";

const found = (token: string) => ({ kind: "token", token });

describe("extractToken", () => {
  it("finds the token in each place", () => {
    expect(extractToken({ query: "a.b.c" })).toEqual(found("a.b.c"));
    expect(extractToken({ authorization: "Bearer a.b.c" })).toEqual(found("a.b.c"));
    expect(extractToken({ authorization: "bearer   a.b.c " })).toEqual(found("a.b.c"));
    expect(extractToken({ protocols: ["chat.v1", "bearer.a.b.c"] })).toEqual(found("a.b.c"));
    expect(extractToken({ protocols: "bearer.a.b.c , chat.v1" })).toEqual(found("a.b.c"));
  });

  it("finds no token in empty values and other schemes", () => {
    expect(extractToken({})).toEqual({ kind: "none" });
    expect(extractToken({ query: "", authorization: "", protocols: "" })).toEqual({ kind: "none" });
    expect(extractToken({ authorization: "Basic YTpi", protocols: ["chat.v1", "bearer."] })).toEqual({
      kind: "none",
    });
    expect(extractToken({ authorization: "Bearer " })).toEqual({ kind: "none" });
    expect(extractToken({ authorization: "Bearera.b.c" })).toEqual({ kind: "none" });
  });

  it("accepts the same token in several places", () => {
    expect(extractToken({ query: "t", authorization: "Bearer t", protocols: ["bearer.t"] })).toEqual(
      found("t"),
    );
  });

  it("reports two different tokens as a conflict, in any places", () => {
    expect(extractToken({ query: "a", authorization: "Bearer b" })).toEqual({ kind: "conflict" });
    expect(extractToken({ query: "a", protocols: ["bearer.b"] })).toEqual({ kind: "conflict" });
    expect(extractToken({ protocols: ["bearer.a", "bearer.b"] })).toEqual({ kind: "conflict" });
  });
});
