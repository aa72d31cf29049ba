import { ggufParts, tensorType, type GgufTensor, type GgufValue } from "./gguf-writer.ts";

/** A tensor of eight zeros. */
export function smallTensor(name: string, changes: Partial<GgufTensor> = {}): GgufTensor {
  const tensor = { name, shape: [8], type: tensorType.f32, byteLength: 32, write: () => Buffer.alloc(32) };
  return { ...tensor, ...changes };
}

/** Values that the header of a chat model needs. */
export const smallMetadata: Readonly<Record<string, GgufValue>> = {
  "general.architecture": { string: "llama" },
  "llama.block_count": { uint32: 1 },
  "llama.embedding_length": { uint32: 8 },
  "llama.context_length": { uint32: 128 },
  "tokenizer.ggml.model": { string: "llama" },
  "tokenizer.ggml.tokens": { strings: ["a", "b"] },
};

/**
 * The bytes of a small file whose header is that of a chat model, but for the changes; `undefined` as a value leaves
 * the key out.
 */
export function smallGguf(
  changes: Readonly<Record<string, GgufValue | undefined>> = {},
  tensors: readonly GgufTensor[] = [smallTensor("a"), smallTensor("b")],
): Buffer {
  const entries = Object.entries({ ...smallMetadata, ...changes }).filter(
    (entry): entry is [string, GgufValue] => entry[1] !== undefined,
  );
  return Buffer.concat([...ggufParts(entries, tensors)]);
}

/** The bytes of the parts of a split model with one tensor each. */
export function splitGguf(count: number): Buffer[] {
  return Array.from({ length: count }, (_, index) => {
    const place = {
      "split.no": { uint32: index },
      "split.count": { uint32: count },
      "split.tensors.count": { uint32: count },
    };
    const tensors = [smallTensor(`t${index}`)];
    return index === 0
      ? smallGguf(place, tensors)
      : Buffer.concat([...ggufParts(Object.entries(place), tensors)]);
  });
}
