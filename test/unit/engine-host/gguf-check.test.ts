import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { modelFault } from "../../../src/engine-host/gguf-check.ts";
import { tensorType, type GgufTensor, type GgufValue } from "../../support/gguf-writer.ts";
import { smallGguf, smallTensor as tensor, splitGguf } from "../../support/small-gguf.ts";
import { mutatedGgufs } from "../../support/gguf-mutations.ts";
import { tinyGguf, tinyModel } from "../../support/tiny-gguf.ts";

const folder = mkdtempSync(join(tmpdir(), "gguf-check-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let files = 0;
/** The fault of a small file; `undefined` as a value leaves the key out. */
async function faultOf(
  changes: Readonly<Record<string, GgufValue | undefined>>,
  tensors?: readonly GgufTensor[],
): Promise<string | null> {
  const path = join(folder, `small-${++files}.gguf`);
  writeFileSync(path, smallGguf(changes, tensors));
  return modelFault(path);
}

describe("modelFault", () => {
  it("accepts good files", async () => {
    expect(await modelFault(await tinyModel())).toBeNull();
    expect(await modelFault(await tinyModel(null))).toBeNull();
    expect(await faultOf({})).toBeNull();
    expect(await faultOf({ "llama.attention.head_count": { ints: [1, 2] } })).toBeNull();
    expect(await faultOf({ "split.count": { uint32: 1 }, "split.no": { uint32: 0 } })).toBeNull();
    expect(await faultOf({ "general.type": { string: "model" } })).toBeNull();
    expect(
      await faultOf({ "llama.pooling_type": { uint32: 0 }, "llama.attention.causal": { bool: true } }),
    ).toBeNull();
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
    expect(await faultOf({ "tokenizer.ggml.model": undefined }, [])).toBe("has no tensors");
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
      /^has the tensor "b" past its end: the tensor ends at byte \d+, the file at \d+; it is corrupted or incomplete$/,
    );
  });

  it.each<[string, Readonly<Record<string, GgufValue | undefined>>]>([
    ["projector", { "general.architecture": { string: "clip" } }],
    ["projector", { "general.type": { string: "mmproj" } }],
    ["projector", { "general.type": { string: "clip-vision" } }],
    ["adapter", { "general.type": { string: "adapter" }, "adapter.type": { string: "lora" } }],
    ["adapter", { "adapter.type": { string: "lora" } }],
    ["importance matrix", { "general.type": { string: "imatrix" }, "general.architecture": undefined }],
    ["importance matrix", { "imatrix.datasets": { strings: ["wiki"] } }],
    ["control vector", { "general.architecture": { string: "controlvector" } }],
    ['file of the type "dataset"', { "general.type": { string: "dataset" } }],
    ["model for embeddings", { "general.architecture": { string: "bert" } }],
    ["model for embeddings", { "general.architecture": { string: "nomic-bert-moe" } }],
    ["model for embeddings", { "llama.pooling_type": { uint32: 3 } }],
    ["reranker", { "llama.pooling_type": { uint32: 4 } }],
    ["reranker", { "general.architecture": { string: "bert" }, "bert.pooling_type": { uint32: 4 } }],
    ["reranker", { "llama.classifier.output_labels": { strings: ["yes", "no"] } }],
    ["encoder", { "llama.attention.causal": { bool: false } }],
    ["encoder with a decoder", { "general.architecture": { string: "t5" } }],
    ["draft model", { "general.architecture": { string: "eagle3" } }],
  ])("refuses a valid file that is a %s", async (kind, changes) => {
    expect(await faultOf(changes)).toMatch(new RegExp(`^is an? ${kind}`));
  });

  it("refuses a vocabulary without tensors", async () => {
    expect(await faultOf({}, [])).toBe("is a vocabulary without a model");
  });

  describe("of a split model", () => {
    let split: string;
    const part = (number: number) => join(split, `m-0000${number}-of-00003.gguf`);
    beforeEach(() => {
      split = mkdtempSync(join(folder, "split-"));
      for (const [index, bytes] of splitGguf(3).entries()) writeFileSync(part(index + 1), bytes);
    });

    it("accepts the first part when all others are there", async () => {
      expect(await modelFault(part(1))).toBeNull();
    });

    it("names the first part for any other one", async () => {
      const first = "which is loaded by its first part (m-00001-of-00003.gguf)";
      expect(await modelFault(part(2))).toBe(`is part 2 of 3 of a split model, ${first}`);
      rmSync(part(1));
      expect(await modelFault(part(3))).toBe(`is part 3 of 3 of a split model, ${first}`);
    });

    it("names a part that is missing, cut off or another one", async () => {
      rmSync(part(3));
      expect(await modelFault(part(1))).toBe(
        "is part 1 of 3, and part 3 (m-00003-of-00003.gguf) does not exist",
      );
      writeFileSync(part(3), (splitGguf(3)[2] as Buffer).subarray(0, -20));
      expect(await modelFault(part(1))).toMatch(/^is part 1 of 3, and part 3 .* corrupted or incomplete$/);
      writeFileSync(part(3), splitGguf(3)[1] as Buffer);
      expect(await modelFault(part(1))).toBe("is part 1 of 3, and m-00003-of-00003.gguf is not its part 3");
      writeFileSync(part(3), splitGguf(4)[2] as Buffer);
      expect(await modelFault(part(1))).toBe("is part 1 of 3, and m-00003-of-00003.gguf is not its part 3");
    });

    it("refuses names by which the others cannot be found, and impossible numbers", async () => {
      renameSync(part(1), join(split, "model.gguf"));
      expect(await modelFault(join(split, "model.gguf"))).toContain("does not end in -00001-of-00003.gguf");
      expect(await faultOf({ "split.no": { uint32: 5 }, "split.count": { uint32: 3 } })).toContain(
        "part 6 of 3",
      );
      expect(await faultOf({ "split.count": { uint32: 60_000 } })).toContain("up to 1024 parts");
      expect(await faultOf({ "split.count": { string: "3" } })).toBe("has no integer in split.count");
    });

    it("refuses parts that together have too few tensors", async () => {
      const first = smallGguf({
        "split.no": { uint32: 0 },
        "split.count": { uint32: 3 },
        "split.tensors.count": { uint32: 9 },
      });
      writeFileSync(part(1), first);
      expect(await modelFault(part(1))).toBe("has 4 tensors in its 3 parts instead of 9");
    });
  });

  it("reports a path that is no file, without waiting for a pipe", async () => {
    expect(await modelFault(join(folder, "none"))).toBe("does not exist");
    mkdirSync(join(folder, "folder"));
    expect(await modelFault(join(folder, "folder"))).toBe("is a folder, not a file");
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
