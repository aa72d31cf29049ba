import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { commands } from "../../src/chat/commands/command-table.ts";
import { settings } from "../../src/config/schema.ts";
import { errorCodes } from "../../src/core/error-codes.ts";
import { limits } from "../../src/core/limits.ts";
import { closeCodes } from "../../src/protocol/close-codes.ts";
import { tableAfter } from "../support/page-table.ts";

const pageOf = (name: string) => readFileSync(new URL(`../../docs/${name}`, import.meta.url), "utf8");
const protocol = pageOf("protocol.md");

describe("docs/protocol.md", () => {
  it("lists every error code with the meaning and retryability defined in the code", () => {
    const wanted = Object.entries(errorCodes).map(([code, { retryable, meaning }]) => [
      `\`${code}\``,
      retryable ? "yes" : "no",
      meaning,
    ]);
    expect(tableAfter(protocol, "<!-- errors:")).toEqual(wanted);
  });

  it("lists every close code with the meaning and reconnect rule defined in the code", () => {
    const wanted = Object.values(closeCodes).map(({ code, meaning, reconnect }) => [
      String(code),
      meaning,
      reconnect,
    ]);
    expect(tableAfter(protocol, "<!-- close codes:")).toEqual(wanted);
  });

  it("lists every command", () => {
    const listed = tableAfter(protocol, "## Commands").map(
      ([usage]) => usage?.replaceAll("`", "").split(" ")[0],
    );
    expect(listed).toEqual(commands.map(({ name }) => `/${name}`));
  });
});

describe("docs/operations.md", () => {
  it("lists every limit with the setting, default and reactions defined in the code", () => {
    const wanted = Object.entries(limits).map(([name, limit]) => [
      `\`${name}\`${"rate" in limit ? " †" : ""}`,
      `\`${limit.setting}\``,
      limit.setting in settings
        ? settings[limit.setting as keyof typeof settings].shownDefault
        : "of the system",
      limit.first,
      limit.repeated,
    ]);
    expect(tableAfter(pageOf("operations.md"), "<!-- limits:")).toEqual(wanted);
  });
});
