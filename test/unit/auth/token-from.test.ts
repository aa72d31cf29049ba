import { describe, expect, it } from "vitest";
import { tokenFrom } from "../../../src/auth/token-from.ts";

const found = (token: string) => ({ kind: "token", token });

describe("tokenFrom", () => {
  it("finds the token in each place", () => {
    expect(tokenFrom({ query: "a.b.c" })).toEqual(found("a.b.c"));
    expect(tokenFrom({ authorization: "Bearer a.b.c" })).toEqual(found("a.b.c"));
    expect(tokenFrom({ authorization: "bearer   a.b.c " })).toEqual(found("a.b.c"));
    expect(tokenFrom({ protocols: ["chat.v1", "bearer.a.b.c"] })).toEqual(found("a.b.c"));
    expect(tokenFrom({ protocols: "bearer.a.b.c , chat.v1" })).toEqual(found("a.b.c"));
  });

  it("finds none where there is none", () => {
    expect(tokenFrom({})).toEqual({ kind: "none" });
    expect(tokenFrom({ query: "", authorization: "", protocols: "" })).toEqual({ kind: "none" });
    expect(tokenFrom({ authorization: "Basic YTpi", protocols: ["chat.v1", "bearer."] })).toEqual({
      kind: "none",
    });
    expect(tokenFrom({ authorization: "Bearer " })).toEqual({ kind: "none" });
    expect(tokenFrom({ authorization: "Bearera.b.c" })).toEqual({ kind: "none" });
  });

  it("takes the same token in several places for one", () => {
    expect(tokenFrom({ query: "t", authorization: "Bearer t", protocols: ["bearer.t"] })).toEqual(found("t"));
  });

  it("reports two different tokens as a conflict, wherever they are", () => {
    expect(tokenFrom({ query: "a", authorization: "Bearer b" })).toEqual({ kind: "conflict" });
    expect(tokenFrom({ query: "a", protocols: ["bearer.b"] })).toEqual({ kind: "conflict" });
    expect(tokenFrom({ protocols: ["bearer.a", "bearer.b"] })).toEqual({ kind: "conflict" });
  });
});
