import fc from "../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { parseMessage } from "../../../src/protocol/command-syntax.ts";
import { cpuMs } from "../../support/cpu-ms.ts";
import { quoteValue } from "../../support/quote-value.ts";

const anyText = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({
    unit: fc.constantFrom("\\", '"', "'", "“", "”", "‘", "’", "/", "=", " ", "\n", "a", "é", "😀", "\0"),
  }),
);

/** The arguments of a message that must be a well-formed command. */
function argsOf(message: string): Record<string, string> {
  const parsed = parseMessage(message);
  if (parsed.kind !== "command") throw new Error(`not a command: ${JSON.stringify(parsed)}`);
  return Object.fromEntries(parsed.command.args);
}

function faultOf(message: string): string {
  const parsed = parseMessage(message);
  if (parsed.kind !== "malformed") throw new Error(`not malformed: ${JSON.stringify(parsed)}`);
  return parsed.fault;
}

describe("parseMessage distinguishes chat from commands", () => {
  it.each([
    ["Hello", "Hello"],
    ["  keeps its blanks  ", "  keeps its blanks  "],
    ["1/2", "1/2"],
    ["", ""],
    ["“/help”", "“/help”"],
    ["//help", "/help"],
    ["  //help me", "/help me"],
    ["///", "//"],
    ["//", "/"],
  ])("parses %j as the chat text %j", (message, text) => {
    expect(parseMessage(message)).toEqual({ kind: "chat", text });
  });

  it.each([
    ["/help", "help"],
    ["  \n/HELP", "help"],
    ["/SetContext", "setcontext"],
    ["/", ""],
    ["/ help", ""],
    ["/help!", "help!"],
    ['/analyze="x"', 'analyze="x"'],
    ["/é", "é"],
    ["/1", "1"],
    ["/help/me now", "help/me"],
    ["/constructor", "constructor"],
  ])("parses %j as the command %j without arguments", (message, name) => {
    expect(parseMessage(message)).toEqual({ kind: "command", command: { name, args: new Map() } });
  });
});

describe("parseMessage with arguments", () => {
  it.each([
    ['/c text="I am Ada"', "I am Ada"],
    ["/c text='I am Ada'", "I am Ada"],
    ["/c text=“I am Ada”", "I am Ada"],
    ["/c text=‘I am Ada’", "I am Ada"],
    ["/c text=Ada", "Ada"],
    ["/c text=", ""],
    ['/c text=""', ""],
    // Only the closing quote that matches the opening one ends a value.
    [`/c text="it's ‘so’ “clear”"`, "it's ‘so’ “clear”"],
    [`/c text='say "yes"'`, 'say "yes"'],
    [`/c text=“it’s "so"”`, `it’s "so"`],
    [`/c text=‘“a” and "b"’`, `“a” and "b"`],
    ["/c text=“a “ b”", "a “ b"],
    ["/c text=”a”", "a"],
    ["/c text=„a ‚b‘ c“", "a ‚b‘ c"],
    ["/c text=„a b”", "a b"],
    ["/c text=«a b»", "a b"],
    ["/c text=«\u00a0a b\u202f»", "a b"],
    ["/c text=« a b »", "a b"],
    ["/c text=»a b«", "a b"],
    ["/c text=»a b»", "a b"],
    ["/c text=‹a b›", "a b"],
    ["/c text=›a b‹", "a b"],
    ["/c text=‚a b‘", "a b"],
    ["/c text=’a b’", "a b"],
    ["/c text=「a b」", "a b"],
    ["/c text=『a b』", "a b"],
    ["/c text=＂a b＂", "a b"],
    ["/c text=❝a b❞", "a b"],
    ["/c text=″a b″", "a b"],
    ["/c text=a'b\"c“", "a'b\"c“"],
    // There are three escapes, which work inside all kinds of quotes and not outside of quotes.
    [String.raw`/c text="a \"b\" \'c\' \\ d"`, `a "b" 'c' \\ d`],
    [String.raw`/c text='a \'b\' \"c\"'`, `a 'b' "c"`],
    [String.raw`/c text=“\"a\" \\”`, String.raw`"a" \ `.trimEnd()],
    [String.raw`/c text="C:\new\table \u0041 \n"`, String.raw`C:\new\table \u0041 \n`],
    [String.raw`/c text="\\"`, "\\"],
    [String.raw`/c text="\\\""`, '\\"'],
    [String.raw`/c text=a\"b`, String.raw`a\"b`],
    [String.raw`/c text=“a\”`, "a\\"],
    // A quoted value may contain anything: line breaks, slashes, text that looks like arguments or commands.
    ["/c text=\"one\ntwo\t/help text='x' a=b\"", "one\ntwo\t/help text='x' a=b"],
    ["/c text=a=b=c", "a=b=c"],
    ['/c   \n\ttext="x"  \n ', "x"],
    ["/c\u00a0text=x", "x"],
    ['/c TEXT="x"', "x"],
    ['/c text="😀\u0000"', "😀\u0000"],
  ])("reads the value of %j", (message, text) => {
    expect(argsOf(message)).toEqual({ text });
  });

  it("reads several arguments in order, with names in lower case", () => {
    const parsed = parseMessage(`/translate Text="Good 'morning'" target_Language=Spanish x-y2='1'`);
    expect(parsed).toEqual({
      kind: "command",
      command: {
        name: "translate",
        args: new Map([
          ["text", "Good 'morning'"],
          ["target_language", "Spanish"],
          ["x-y2", "1"],
        ]),
      },
    });
  });

  it("accepts names of inherited object properties", () => {
    expect(parseMessage("/c __proto__=1 constructor=2")).toMatchObject({
      kind: "command",
      command: {
        args: new Map([
          ["__proto__", "1"],
          ["constructor", "2"],
        ]),
      },
    });
  });

  it.each([
    ['/c text="open', "text has no closing quote"],
    [String.raw`/c text="open\"`, "text has no closing quote"],
    ['/c text=“open"', "text has no closing quote"],
    ["/c text='open’", "text has no closing quote"],
    ["/c text=«open“", "text has no closing quote"],
    ["/c text=„open", "text has no closing quote"],
    ['/c text="a" text="b"', "text is given twice"],
    ['/c text="a" TEXT=b', "TEXT is given twice"],
    ['/c text="a"b', "expected a space after the value of text at character 12"],
    ['/c text="a""b"', "expected a space"],
    ["/c hello world", "expected = after hello at character 9"],
    ["/c text", "expected = after text at character 8"],
    ["/c text = x", "expected = after text"],
    ["/c =x", "expected a name"],
    ['/c "x"', "expected a name"],
    ["/c é=x", "expected a name"],
    ["/c 1=x", "expected a name"],
  ])("reports the fault of %j: %s", (message, fault) => {
    expect(faultOf(message)).toContain(fault);
    expect(parseMessage(message)).toMatchObject({ kind: "malformed", name: "c" });
  });
});

describe("parseMessage with arbitrary text", () => {
  it("restores every value that quoteValue has quoted", () => {
    fc.assert(
      fc.property(anyText, anyText, (first, second) => {
        expect(argsOf(`/c a=${quoteValue(first)} b=${quoteValue(second)}`)).toEqual({ a: first, b: second });
      }),
      { numRuns: 500 },
    );
  });

  it("never throws, and changes chat text only by removing one of two leading slashes", () => {
    fc.assert(
      fc.property(anyText, fc.constantFrom("", "/", "//", "/c ", "/c text=", ' /c a="'), (text, prefix) => {
        const message = prefix + text;
        const parsed = parseMessage(message);
        if (parsed.kind === "chat") {
          expect([message, message.trimStart().slice(1)]).toContain(parsed.text);
        } else {
          expect(message.trimStart().startsWith("/")).toBe(true);
          expect(message.trimStart().startsWith("//")).toBe(false);
        }
      }),
      { numRuns: 1000 },
    );
  });

  it("parses texts of 60 KB within two seconds, well-formed or not", () => {
    expect(cpuMs(parseLongTexts)).toBeLessThan(2000);
  });

  function parseLongTexts(): void {
    const long = `${"\\".repeat(20_000)}${'"'.repeat(20_000)}${"é".repeat(20_000)}`;
    expect(argsOf(`/c a=${quoteValue(long)}`)).toEqual({ a: long });
    expect(faultOf(`/c a="${"a ".repeat(30_000)}`)).toContain("no closing quote");
    expect(argsOf(`/c a=${"b".repeat(60_000)}`)["a"]).toHaveLength(60_000);
    expect(faultOf(`/c ${" ".repeat(60_000)}!`)).toContain("expected a name");
    expect(parseMessage(`/${"x".repeat(60_000)}`).kind).toBe("command");
    expect(parseMessage(`${" ".repeat(60_000)}/help`)).toMatchObject({ command: { name: "help" } });
    const many = Array.from({ length: 10_000 }, (_, index) => `a${index}=1`).join(" ");
    expect(Object.keys(argsOf(`/c ${many}`))).toHaveLength(10_000);
  }
});
