import { describe, expect, it } from "vitest";
import { pastedToken as ofServer } from "../../../../src/auth/pasted-token.ts";
import { pastedToken } from "../../../../web/client/pasted-token.ts";

describe("pastedToken", () => {
  it.each([
    "a.b.c",
    " a.b.c\n",
    "Bearer a.b.c",
    '"Bearer a.b.c"',
    "„a.b.c“",
    "a.\r\nb.c",
    "\n' Bearer: \"a.b.c\" '",
    "a.b.\u200Bc",
    "Authorization: Bearer a.b.c",
  ])("restores a token from %j, on the page as on the server", (pasted) => {
    expect(pastedToken(pasted)).toBe("a.b.c");
    expect(ofServer(pasted)).toBe("a.b.c");
  });
});
