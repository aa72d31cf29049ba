import fc from "../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { parseEnvFile } from "../../../src/config/env-file.ts";

function valuesOf(text: string): Record<string, string> {
  const { values, faults } = parseEnvFile(text);
  expect(faults).toEqual([]);
  return Object.fromEntries(values);
}

describe("parseEnvFile", () => {
  it("reads names and values, and skips blank lines and comments", () => {
    expect(valuesOf("# head\n\nPORT=9000\n  HOST = 0.0.0.0  \n\t# end")).toEqual({
      PORT: "9000",
      HOST: "0.0.0.0",
    });
  });

  it("accepts a leading export", () => {
    expect(valuesOf("export PORT=1\nexport\tHOST=a\nexported=2")).toEqual({
      PORT: "1",
      HOST: "a",
      exported: "2",
    });
  });

  it("ends an unquoted value at a # only after whitespace", () => {
    expect(valuesOf("A=x # note\nB=x#y\nC=#z\nD= # note\nE=\nF=a\t#n")).toEqual({
      A: "x",
      B: "x#y",
      C: "#z",
      D: "",
      E: "",
      F: "a",
    });
  });

  it("keeps an equals sign and quotes inside an unquoted value", () => {
    expect(valuesOf(`A=b=c\nB=it's "so"`)).toEqual({ A: "b=c", B: `it's "so"` });
  });

  it("reads single-quoted values literally", () => {
    expect(valuesOf(String.raw`A=' a # \n "b" ' # note`)).toEqual({ A: String.raw` a # \n "b" ` });
  });

  it("decodes escapes in double quotes and keeps other backslashes", () => {
    expect(valuesOf(String.raw`A="1\n2\t3\r4\\n5\"6\$7\x"`)).toEqual({ A: '1\n2\t3\r4\\n5"6$7\\x' });
  });

  it("reads multi-line quoted values, such as a PEM key", () => {
    const text = `A="-----BEGIN\nabc\n-----END"\nB='1\n2'\nC=3`;
    expect(valuesOf(text)).toEqual({ A: "-----BEGIN\nabc\n-----END", B: "1\n2", C: "3" });
  });

  it("reads files with a byte order mark and Windows line ends", () => {
    expect(valuesOf('\uFEFFA=1\r\nB="2"\r\n')).toEqual({ A: "1", B: "2" });
  });

  it("uses the later of two lines with the same name", () => {
    expect(valuesOf("A=1\nA=2")).toEqual({ A: "2" });
  });

  it("does not expand variables", () => {
    expect(valuesOf('A=$HOME\nB="${A}"')).toEqual({ A: "$HOME", B: "${A}" });
  });

  it("reports the line of each malformed entry and reads the other entries", () => {
    const text = `A=1\nno equals\n1X=2\n=3\nB="b" tail\nC='x' y\nD="multi\nline"\nE-F=1\nG=2`;
    const { values, faults } = parseEnvFile(text);
    expect(faults).toEqual([
      "line 2: not of the form NAME=value",
      "line 3: not of the form NAME=value",
      "line 4: not of the form NAME=value",
      "line 5: B: there is text after the closing quote",
      "line 6: C: there is text after the closing quote",
      "line 9: not of the form NAME=value",
    ]);
    expect(Object.fromEntries(values)).toEqual({ A: "1", D: "multi\nline", G: "2" });
  });

  it("reports an unclosed quote at its opening line without showing the text", () => {
    const { values, faults } = parseEnvFile('A=1\nJWT_SECRET="hush\nB=2');
    expect(faults).toEqual(['line 2: JWT_SECRET: the opening " is never closed']);
    expect(Object.fromEntries(values)).toEqual({ A: "1", B: "2" });
  });

  it("rejects NUL, which environment variables cannot contain", () => {
    expect(parseEnvFile("A=a\0b\nB='\0'").faults).toHaveLength(2);
  });

  it("accepts variables named like object properties", () => {
    expect(parseEnvFile("__proto__=1\nconstructor=2").values.get("__proto__")).toBe("1");
  });

  it("round-trips every value in double quotes", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (value) => {
        fc.pre(!value.includes("\0"));
        const escaped = value
          .replace(/[\\"$]/g, String.raw`\$&`)
          .replaceAll("\n", String.raw`\n`)
          .replaceAll("\r", String.raw`\r`);
        expect(valuesOf(`A="${escaped}" # note\nB=1`)).toEqual({ A: value, B: "1" });
      }),
    );
  });

  it("round-trips every value without single quotes in single quotes", () => {
    fc.assert(
      fc.property(fc.string(), (value) => {
        fc.pre(!/['\0\r]/.test(value));
        expect(valuesOf(`A='${value}'\nB=1`)).toEqual({ A: value, B: "1" });
      }),
    );
  });

  it("never throws, skips no line after a fault, and reports valid line numbers", () => {
    const pieces = fc.constantFrom(
      "A",
      "=",
      '"',
      "'",
      "\\",
      "#",
      " ",
      "\n",
      "\r\n",
      "export ",
      "\0",
      "é",
      "$",
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 40 }), (parts) => {
        const text = parts.join("");
        const { faults } = parseEnvFile(text);
        const lines = text.split(/\r\n|\r|\n/).length;
        for (const fault of faults) {
          const line = Number(/^line (\d+): /.exec(fault)?.[1]);
          expect(line).toBeGreaterThanOrEqual(1);
          expect(line).toBeLessThanOrEqual(lines);
        }
        // An entry on its own last line is read regardless of the text before, unless an open quote includes it.
        if (!/["']/.test(text)) expect(parseEnvFile(`${text}\nZ=last`).values.get("Z")).toBe("last");
      }),
    );
  });
});
