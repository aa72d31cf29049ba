import fc from "../../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { commands } from "../../../../src/chat/commands/command-table.ts";
import { parseMessage } from "../../../../src/protocol/command-syntax.ts";
import {
  commandHints,
  commandName,
  completion,
  matchingCommands,
  quoteValue,
  expandShorthand,
} from "../../../../web/view/command-hints.ts";

describe("the command palette", () => {
  it("lists exactly the commands of the server, with their arguments", () => {
    const offered = commandHints.map(({ name, usage }) => ({
      name,
      args: [...usage.matchAll(/(\w+)=/g)].map(([, arg]) => arg),
    }));
    const served = commands.map(({ name, args }) => ({ name, args: args.map((arg) => arg.name) }));
    const byName = (a: { name: string }, b: { name: string }): number => a.name.localeCompare(b.name);
    expect(offered.toSorted(byName)).toEqual(served.toSorted(byName));
  });

  it("filters while a command name is typed, and is closed for any other text", () => {
    expect(matchingCommands("/")).toHaveLength(commandHints.length);
    expect(matchingCommands("/CLEAR")?.map(({ name }) => name)).toEqual(["clearcontext", "clear"]);
    for (const text of ["", "hello", "/help ", "//", "/x", "a /", "/analyze text"]) {
      expect(matchingCommands(text)).toBeUndefined();
    }
  });

  it("completes to a command that the server can parse, with the caret inside the text argument", () => {
    for (const hint of commandHints) {
      const { text, caret } = completion(hint);
      const syntax = parseMessage(text);
      expect(syntax.kind === "command" && syntax.command.name).toBe(hint.name);
      if (hint.usage !== "") expect(text.slice(caret - 6, caret)).toBe('text="');
    }
  });
});

describe("commandName", () => {
  it("recognizes the same commands as the server", () => {
    expect(commandName("/Help")).toBe("help");
    expect(commandName("  /analyze text=x")).toBe("analyze");
    for (const chat of ["//help", "help", "/", "/ help", "/1", "a/b"])
      expect(commandName(chat)).toBeUndefined();
  });
});

describe("quoteValue", () => {
  it("quotes any value so that the server parses it unchanged", () => {
    const hostile = fc.array(fc.constantFrom("\\", '"', "'", "“", "”", "\n", " ", "=", "/clear", "a"), {
      maxLength: 30,
    });
    const texts = fc.oneof(
      fc.string({ unit: "binary" }),
      hostile.map((parts) => parts.join("")),
    );
    fc.assert(
      fc.property(texts, (value) => {
        const syntax = parseMessage(`/setcontext text=${quoteValue(value)}`);
        expect(syntax.kind === "command" && syntax.command.args.get("text")).toBe(value);
      }),
    );
  });
});

describe("expandShorthand", () => {
  it("adds the name and the quotes of a text argument", () => {
    expect(expandShorthand('/analyze I like "it"')).toBe('/analyze text="I like \\"it\\""');
    const syntax = parseMessage(expandShorthand("/SetContext it's\ntwo \\ lines"));
    expect(syntax.kind === "command" && syntax.command.args.get("text")).toBe("it's\ntwo \\ lines");
  });

  it.each([
    "hello",
    "/help",
    "/analyze",
    '/analyze text="a"',
    "/analyze TEXT=a",
    "/translate good morning",
    "//analyze x",
  ])("leaves %j unchanged", (text) => expect(expandShorthand(text)).toBe(text));
});
