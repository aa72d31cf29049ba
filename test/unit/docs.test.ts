import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { commands } from "../../src/chat/commands/command-table.ts";
import { settings } from "../../src/config/schema.ts";
import { errorCodes } from "../../src/core/error-codes.ts";
import { limits } from "../../src/core/limits.ts";
import { closeCodes } from "../../src/protocol/close-codes.ts";

const pageOf = (name: string) => readFileSync(new URL(`../../docs/${name}`, import.meta.url), "utf8");
const protocol = pageOf("protocol.md");

/** Cells of the table that follows a heading or comment, without its head. */
function tableAfter(mark: string, page = protocol): string[][] {
  const lines = page.slice(page.indexOf(mark)).split("\n");
  const start = lines.findIndex((line) => line.startsWith("| ---") || line.startsWith("|---"));
  const rows: string[][] = [];
  for (const line of lines.slice(start + 1)) {
    if (!line.startsWith("|")) break;
    rows.push(
      line
        .split(/(?<!\\)\|/)
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  }
  return rows;
}

describe("docs/protocol.md", () => {
  it("lists every error code as the code has it", () => {
    const wanted = Object.entries(errorCodes).map(([code, { retryable, meaning }]) => [
      `\`${code}\``,
      retryable ? "yes" : "no",
      meaning,
    ]);
    expect(tableAfter("<!-- errors:")).toEqual(wanted);
  });

  it("lists every close code as the code has it", () => {
    const wanted = Object.values(closeCodes).map(({ code, meaning, reconnect }) => [
      String(code),
      meaning,
      reconnect,
    ]);
    expect(tableAfter("<!-- close codes:")).toEqual(wanted);
  });

  it("lists every command", () => {
    const listed = tableAfter("## Commands").map(([usage]) => usage?.replaceAll("`", "").split(" ")[0]);
    expect(listed).toEqual(commands.map(({ name }) => `/${name}`));
  });
});

describe("docs/operations.md", () => {
  it("lists every limit with its setting, default and answers as the code has them", () => {
    const wanted = Object.entries(limits).map(([name, limit]) => [
      `\`${name}\`${"rate" in limit ? " †" : ""}`,
      `\`${limit.setting}\``,
      settings[limit.setting].shownDefault,
      limit.first,
      limit.repeated,
    ]);
    expect(tableAfter("<!-- limits:", pageOf("operations.md"))).toEqual(wanted);
  });
});
