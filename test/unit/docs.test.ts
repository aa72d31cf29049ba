import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { commands } from "../../src/chat/commands/command-table.ts";
import { errorCodes } from "../../src/core/error-codes.ts";
import { closeCodes } from "../../src/protocol/close-codes.ts";
import { tableAfter } from "../support/page-table.ts";

const page = readFileSync(new URL("../../docs/protocol.md", import.meta.url), "utf8");

describe("docs/protocol.md", () => {
  it("lists every error code as the code has it", () => {
    const wanted = Object.entries(errorCodes).map(([code, { retryable, meaning }]) => [
      `\`${code}\``,
      retryable ? "yes" : "no",
      meaning,
    ]);
    expect(tableAfter(page, "<!-- errors:")).toEqual(wanted);
  });

  it("lists every close code as the code has it", () => {
    const wanted = Object.values(closeCodes).map(({ code, meaning, reconnect }) => [
      String(code),
      meaning,
      reconnect,
    ]);
    expect(tableAfter(page, "<!-- close codes:")).toEqual(wanted);
  });

  it("lists every command", () => {
    const listed = tableAfter(page, "## Commands").map(([usage]) => usage?.replaceAll("`", "").split(" ")[0]);
    expect(listed).toEqual(commands.map(({ name }) => `/${name}`));
  });
});
