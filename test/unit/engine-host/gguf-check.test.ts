import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { modelFault } from "../../../src/engine-host/gguf-check.ts";
import { ggufParts, tensorType, type GgufTensor, type GgufValue } from "../../support/gguf-writer.ts";
import { mutatedGgufs } from "../../support/gguf-mutations.ts";
import { tinyGguf, tinyModel } from "../../support/tiny-gguf.ts";

const folder = mkdtempSync(join(tmpdir(), "gguf-check-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const tensor = (name: string, changes: Partial<GgufTensor> = {}): GgufTensor => ({
  name,
  shape: [8],
  type: tensorType.f32,
  byteLength: 32,
  write: () => Buffer.alloc(32),
  ...changes,
});
const metadata: Readonly<Record<string, GgufValue>> = {
  "general.architecture": { string: "llama" },
  "llama.block_count": { uint32: 1 },
  "llama.embedding_length": { uint32: 8 },
  "llama.context_length": { uint32: 128 },
  "tokenizer.ggml.model": { string: "llama" },
  "tokenizer.ggml.tokens": { strings: ["a", "b"] },
};
let files = 0;
/** The fault of a small file; `undefined` as a value leaves the key out. */
async function faultOf(
  changes: Readonly<Record<string, GgufValue | undefined>>,
  tensors: readonly GgufTensor[] = [tensor("a"), tensor("b")],
): Promise<string | null> {
  const entries = Object.entries({ ...metadata, ...changes }).filter(
    (entry): entry is [string, GgufValue] => entry[1] !== undefined,
  );
  const path = join(folder, `small-${++files}.gguf`);
  writeFileSync(path, Buffer.concat([...ggufParts(entries, tensors)]));
  return modelFault(path);
}

describe("modelFault", () => {
  it("accepts good files", async () => {
    expect(await modelFault(await tinyModel())).toBeNull();
    expect(await modelFault(await tinyModel(null))).toBeNull();
    expect(await faultOf({})).toBeNull();
    expect(await faultOf({ "llama.attention.head_count": { ints: [1, 2] } })).toBeNull();
    expect(await faultOf({ "split.count": { uint32: 2 } }, [])).toBeNull();
  });

  it("accepts all vocabularies, alignments and shapes that llama.cpp accepts", async () => {
    expect(await faultOf({ "tokenizer.ggml.scores": { ints: [0, 1] } })).toBeNull();
    expect(await faultOf({ "tokenizer.ggml.scores": { floats: [0, -1, -2] } })).toBeNull();
    expect(await faultOf({ "tokenizer.ggml.token_type": { ints: [1, 1, 3] } })).toBeNull();
    const sized = (shape: readonly number[], byteLength: number) =>
      tensor("a", { shape, byteLength, write: () => Buffer.alloc(byteLength) });
    expect(await faultOf({}, [sized([], 4), tensor("b")])).toBeNull();
    expect(await faultOf({}, [sized([0], 0), tensor("b")])).toBeNull();
  });

  it.each<[string, Readonly<Record<string, GgufValue | undefined>>]>([
    ["does not name its architecture in general.architecture", { "general.architecture": undefined }],
    ["does not name its architecture in general.architecture", { "general.architecture": { string: "a b" } }],
    ["does not name its architecture in general.architecture", { "general.architecture": { uint32: 1 } }],
    ["has no value for llama.context_length", { "llama.context_length": undefined }],
    ["has a text instead of an integer for llama.block_count", { "llama.block_count": { string: "1" } }],
    ["has 3 for llama.block_count; it must be 1 to 2", { "llama.block_count": { uint32: 3 } }],
    [
      "has 4294967295 for llama.context_length; it must be 64 to 2147483647",
      { "llama.context_length": { uint32: 2 ** 32 - 1 } },
    ],
    ["does not name its tokenizer in tokenizer.ggml.model", { "tokenizer.ggml.model": undefined }],
    ["has no vocabulary in tokenizer.ggml.tokens", { "tokenizer.ggml.tokens": { strings: [] } }],
    ["has no vocabulary in tokenizer.ggml.tokens", { "tokenizer.ggml.tokens": { ints: [1, 2] } }],
    ["has 1 items in tokenizer.ggml.scores for 2 tokens", { "tokenizer.ggml.scores": { floats: [0] } }],
    [
      "has no array of type integer in tokenizer.ggml.token_type",
      { "tokenizer.ggml.token_type": { floats: [0, 0] } },
    ],
    ["has no text in tokenizer.chat_template", { "tokenizer.chat_template": { bool: true } }],
    [
      "has no array of type float or integer in tokenizer.ggml.scores",
      { "tokenizer.ggml.scores": { strings: ["a", "b"] } },
    ],
    ["has 24 for general.alignment, no power of two", { "general.alignment": { uint32: 24 } }],
    ["has 0 for general.alignment, no power of two", { "general.alignment": { uint32: 0 } }],
  ])("reports that a file %s", async (fault, changes) => {
    expect(await faultOf(changes)).toBe(fault);
  });

  it("reports impossible tensors", async () => {
    expect(await faultOf({ "split.count": undefined }, [])).toBe("has no tensors");
    expect(await faultOf({}, [tensor("a"), tensor("a")])).toBe('has the tensor "a" twice');
    expect(await faultOf({}, [tensor("a", { type: 31 })])).toBe('has the unknown type 31 for the tensor "a"');
    expect(await faultOf({}, [tensor("a", { shape: [2 ** 63] })])).toBe(
      `has the dimensions ${-(2 ** 63)} for the tensor "a"`,
    );
    expect(await faultOf({}, [tensor("a", { shape: [2 ** 30, 2 ** 30] })])).toContain("which is too large");
    expect(await faultOf({}, [tensor("a", { type: tensorType.q4_0, shape: [33] })])).toBe(
      'has rows of 33 weights for the tensor "a", no multiple of 32',
    );
    expect(await faultOf({}, [tensor("a", { shape: [12] }), tensor("b"), tensor("c")])).toContain(
      "instead of 64, where the one before it ends",
    );
    expect(await faultOf({ "general.alignment": { uint32: 1 } })).toMatch(
      /^has its tensor data at byte \d+, no multiple of 32$/,
    );
    expect(await faultOf({}, [tensor("a"), tensor("b", { shape: [64] })])).toMatch(
      /^has the tensor "b" past its end: the tensor ends at byte \d+, the file at \d+$/,
    );
  });

  it("reports a path that is no file, without waiting for a pipe", async () => {
    expect(await modelFault(join(folder, "none"))).toBe("does not exist");
    mkdirSync(join(folder, "folder"));
    expect(await modelFault(join(folder, "folder"))).toBe("is not a file");
    execFileSync("mkfifo", [join(folder, "pipe")]);
    expect(await modelFault(join(folder, "pipe"))).toBe("is not a file");
  });

  it("reads no more than the header, with bounded memory, whatever a file claims", async () => {
    const path = join(folder, "sparse.gguf");
    const start = Buffer.alloc(24);
    start.write("GGUF");
    start.writeUInt32LE(3, 4);
    start.writeBigUInt64LE(2n ** 32n, 8);
    start.writeBigUInt64LE(2n ** 32n, 16);
    writeFileSync(path, start);
    // A sparse file of 1 TiB takes no space and has room for all the counts.
    truncateSync(path, 2 ** 40);
    expect(await modelFault(path)).toBe("claims 4294967296 tensors; at most 65536 are read");
    start.writeBigUInt64LE(1n, 8);
    start.writeBigUInt64LE(1n, 16);
    // A key "k" with an array of 2^32 texts.
    const key = Buffer.from("01000000000000006b09000000", "hex");
    writeFileSync(path, Buffer.concat([start, key, Buffer.from("080000000000000001000000", "hex")]));
    truncateSync(path, 2 ** 40);
    expect(await modelFault(path)).toBe(
      'claims 4294967296 texts for the array "k"; at most 4194304 are read',
    );
    // The same with bytes, which are skipped.
    writeFileSync(path, Buffer.concat([start, key, Buffer.from("000000000000000001000000", "hex")]));
    truncateSync(path, 2 ** 40);
    expect(await modelFault(path)).toBe("has a header of more than 256 MiB");
  });

  it("has a reason for each damage of a real file that the format rules out", async () => {
    const mutated = mutatedGgufs(tinyGguf(), 200);
    const accepted: string[] = [];
    for (const [index, { name, bytes }] of mutated.entries()) {
      const path = join(folder, `${index}.gguf`);
      writeFileSync(path, bytes);
      const fault = await modelFault(path);
      if (fault === null) accepted.push(name);
      else expect(fault).toMatch(/^[a-z][\x20-\x7e×]{10,250}$/);
    }
    // The other files are damaged within the rules of the format: a bad token id, an unlikely parameter, wrong letters.
    const inside = /^(parameter|tensor type|token id|value type|array type|bytes|blank): /;
    expect(accepted.filter((name) => !inside.test(name))).toEqual([]);
    expect(accepted.length).toBeLessThan(50);
  });
});
