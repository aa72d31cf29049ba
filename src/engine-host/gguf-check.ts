import { open, stat } from "node:fs/promises";
import { readGgufHeader, shown, type GgufHeader, type GgufTensor, type GgufValue } from "./gguf-header.ts";
import { checkKind } from "./gguf-kind.ts";
import { checkParts, laterPartFault, partPlace } from "./gguf-parts.ts";
import { GgufFault, GgufReader } from "./gguf-reader.ts";
import { isCode, messageOf } from "./model-file.ts";

/** Alignment of tensor data in bytes where the file gives none. */
const DEFAULT_ALIGNMENT = 32;
/** Alignment in bytes without which ggml aborts when it maps the tensor data into memory. */
const MAPPED_ALIGNMENT = 32;
/** The largest values in use are far below these. Native code would allocate memory for larger ones, or overflow. */
const MAX_BLOCKS = 4096;
const MAX_WIDTH = 1_048_576;
const MAX_CONTEXT_TOKENS = 2 ** 31 - 1;
/** The warm-up alone takes half of it. */
const MIN_CONTEXT_TOKENS = 64;

/** Weights and bytes of a block of a tensor type, by its number in ggml. */
const tensorTypes: ReadonlyMap<number, readonly [weights: number, bytes: number]> = new Map([
  [0, [1, 4]],
  [1, [1, 2]],
  [2, [32, 18]],
  [3, [32, 20]],
  [6, [32, 22]],
  [7, [32, 24]],
  [8, [32, 34]],
  [9, [32, 36]],
  [10, [256, 84]],
  [11, [256, 110]],
  [12, [256, 144]],
  [13, [256, 176]],
  [14, [256, 210]],
  [15, [256, 292]],
  [16, [256, 66]],
  [17, [256, 74]],
  [18, [256, 98]],
  [19, [256, 50]],
  [20, [32, 18]],
  [21, [256, 110]],
  [22, [256, 82]],
  [23, [256, 136]],
  [24, [1, 1]],
  [25, [1, 2]],
  [26, [1, 4]],
  [27, [1, 8]],
  [28, [1, 8]],
  [29, [256, 56]],
  [30, [1, 2]],
  [34, [256, 54]],
  [35, [256, 66]],
  [39, [32, 17]],
  [40, [64, 36]],
  [41, [128, 18]],
  [42, [64, 18]],
]);
/** ggml has about forty types. Types that are newer than the table above are left to the engine. */
const MAX_TENSOR_TYPE = 255;
/** Types that ggml has removed. */
const REMOVED_TYPES = new Set([4, 5, 31, 32, 33, 36, 37, 38]);

/**
 * Why a file is not usable as a model that answers messages, as a predicate such as "ends inside its tensor table"; or
 * null. Reads only headers, with bounded memory: of the file, and of the other parts of a split model. A damaged file
 * is thus reported with its cause, instead of failing an assertion in native code.
 */
export async function modelFault(file: string): Promise<string | null> {
  try {
    await withHeader(file, checkModel);
    return null;
  } catch (error) {
    if (error instanceof GgufFault) return error.message;
    return `cannot be read (${messageOf(error)})`;
  }
}

/** @throws GgufFault; a system error of a read */
async function withHeader<Result>(
  file: string,
  use: (header: GgufHeader, file: string, fileBytes: number) => Result,
): Promise<Awaited<Result>> {
  try {
    const stats = await stat(file);
    if (stats.isDirectory()) throw new GgufFault("is a folder, not a file");
    // Opening a pipe would wait for its writer.
    if (!stats.isFile()) throw new GgufFault("is not a file");
    const handle = await open(file, "r");
    try {
      return await use(await readGgufHeader(new GgufReader(handle, stats.size)), file, stats.size);
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (isCode(error, "ENOENT", "ENOTDIR")) throw new GgufFault("does not exist");
    if (isCode(error, "ELOOP")) throw new GgufFault("is a link in a circle");
    throw error;
  }
}

async function checkModel(header: GgufHeader, file: string, fileBytes: number): Promise<void> {
  const place = partPlace(header);
  // Later parts have tensors and their place, nothing else.
  if (place !== null && place.index > 0) throw new GgufFault(laterPartFault(file, place));
  checkKind(header);
  checkNumbers(header, place !== null);
  checkVocabulary(header);
  checkTensors(header, fileBytes);
  if (place !== null) await checkParts(file, header, place, readPart);
}

function readPart(file: string): Promise<GgufHeader> {
  return withHeader(file, (header, _, fileBytes) => {
    checkTensors(header, fileBytes);
    return header;
  });
}

function checkNumbers({ values, tensors }: GgufHeader, isPart: boolean): void {
  const architecture = values.get("general.architecture");
  if (architecture?.kind !== "text" || !/^[\w.-]{1,64}$/.test(architecture.text ?? "")) {
    throw new GgufFault("does not name its architecture in general.architecture");
  }
  const key = (name: string): string => `${architecture.text}.${name}`;
  const required = (name: string, most: number, fewest = 1): void => {
    if (!values.has(key(name))) throw new GgufFault(`has no value for ${key(name)}`);
    checkInteger(values, key(name), fewest, most);
  };
  if (tensors.length === 0 && !isPart) throw new GgufFault("has no tensors");
  required("block_count", isPart ? MAX_BLOCKS : Math.min(MAX_BLOCKS, tensors.length));
  required("embedding_length", MAX_WIDTH);
  required("context_length", MAX_CONTEXT_TOKENS, MIN_CONTEXT_TOKENS);
  // Some architectures have no attention or no feed-forward layers, and 0 here.
  const least = (part: RegExp): number => (tensors.some(({ name }) => part.test(name)) ? 1 : 0);
  checkInteger(values, key("attention.head_count"), least(/\.attn_q\./), MAX_WIDTH);
  checkInteger(values, key("attention.head_count_kv"), least(/\.attn_k\./), MAX_WIDTH);
  checkInteger(values, key("attention.key_length"), 1, MAX_WIDTH);
  checkInteger(values, key("attention.value_length"), 1, MAX_WIDTH);
  checkInteger(values, key("feed_forward_length"), least(/\.ffn_up\./), MAX_WIDTH * 16);
  checkInteger(values, key("rope.dimension_count"), 0, MAX_WIDTH);
  for (const name of ["layer_norm_epsilon", "layer_norm_rms_epsilon"])
    checkShare(values, key(`attention.${name}`));
}

/** Checks an integer, if there is one. An array with a value for each layer is left to the engine. */
function checkInteger(
  values: ReadonlyMap<string, GgufValue>,
  key: string,
  least: number,
  most: number,
): void {
  const value = values.get(key);
  if (value === undefined || (value.kind === "array" && value.of === "integer" && value.length > 0)) return;
  if (value.kind !== "integer") throw new GgufFault(`has ${article(value)} instead of an integer for ${key}`);
  if (value.number < least || value.number > most) {
    throw new GgufFault(`has ${value.number} for ${key}; it must be ${least} to ${most}`);
  }
}

function checkShare(values: ReadonlyMap<string, GgufValue>, key: string): void {
  const value = values.get(key);
  if (value === undefined) return;
  if (value.kind !== "float") throw new GgufFault(`has ${article(value)} instead of a number for ${key}`);
  if (!(value.number >= 0 && value.number <= 1)) {
    throw new GgufFault(`has ${value.number} for ${key}; it must be 0 to 1`);
  }
}

function article({ kind }: GgufValue): string {
  return kind === "integer" || kind === "array" ? `an ${kind}` : `a ${kind}`;
}

function checkVocabulary({ values }: GgufHeader): void {
  if (values.get("tokenizer.ggml.model")?.kind !== "text") {
    throw new GgufFault("does not name its tokenizer in tokenizer.ggml.model");
  }
  const tokens = values.get("tokenizer.ggml.tokens");
  if (tokens?.kind !== "array" || tokens.of !== "text" || tokens.length === 0) {
    throw new GgufFault("has no vocabulary in tokenizer.ggml.tokens");
  }
  // Native code reads one item for each token. Further items are ignored.
  for (const [name, types] of [
    // Converters write scores that begin with a whole number as integers.
    ["scores", ["float", "integer"]],
    ["token_type", ["integer"]],
  ] as const) {
    const items = values.get(`tokenizer.ggml.${name}`);
    if (items === undefined) continue;
    if (items.kind !== "array" || !types.some((type) => type === items.of)) {
      throw new GgufFault(`has no array of type ${types.join(" or ")} in tokenizer.ggml.${name}`);
    }
    if (items.length < tokens.length) {
      throw new GgufFault(`has ${items.length} items in tokenizer.ggml.${name} for ${tokens.length} tokens`);
    }
  }
  const merges = values.get("tokenizer.ggml.merges");
  if (merges !== undefined && (merges.kind !== "array" || merges.of !== "text")) {
    throw new GgufFault("has no array of texts in tokenizer.ggml.merges");
  }
  const template = values.get("tokenizer.chat_template");
  if (template !== undefined && template.kind !== "text")
    throw new GgufFault("has no text in tokenizer.chat_template");
}

function checkTensors({ values, tensors, bytes }: GgufHeader, fileBytes: number): void {
  const alignment = alignmentOf(values);
  const aligned = (position: number): number => Math.ceil(position / alignment) * alignment;
  const dataStart = aligned(bytes);
  if (tensors.length > 0 && dataStart % MAPPED_ALIGNMENT !== 0) {
    throw new GgufFault(`has its tensor data at byte ${dataStart}, no multiple of ${MAPPED_ALIGNMENT}`);
  }
  // Tensors follow each other without gaps, in the order of the table.
  let expected: number | undefined = 0;
  for (const tensor of tensors) {
    const { name, offset } = tensor;
    const size = sizeOfTensor(tensor);
    const end = dataStart + offset + (size ?? 0);
    if (end > fileBytes) {
      throw new GgufFault(
        `has the tensor ${shown(name)} past its end: the tensor ends at byte ${end}, the file at ${fileBytes}; it is corrupted or incomplete`,
      );
    }
    if (offset !== (expected ?? offset)) {
      throw new GgufFault(
        `has the tensor ${shown(name)} at ${offset} instead of ${expected}, where the one before it ends`,
      );
    }
    expected = size === undefined ? undefined : aligned(offset + size);
  }
}

function alignmentOf(values: ReadonlyMap<string, GgufValue>): number {
  const value = values.get("general.alignment");
  if (value === undefined) return DEFAULT_ALIGNMENT;
  const alignment = value.kind === "integer" ? value.number : 0;
  if (alignment >= 1 && Number.isInteger(Math.log2(alignment))) return alignment;
  throw new GgufFault(
    `has ${value.kind === "integer" ? value.number : article(value)} for general.alignment, no power of two`,
  );
}

/** Bytes of a tensor; undefined where the type is newer than the table. */
function sizeOfTensor({ name, shape, type }: GgufTensor): number | undefined {
  if (type > MAX_TENSOR_TYPE || REMOVED_TYPES.has(type)) {
    throw new GgufFault(`has the unknown type ${type} for the tensor ${shown(name)}`);
  }
  if (shape.some((size) => size < 0)) {
    throw new GgufFault(`has the dimensions ${shape.join(" × ")} for the tensor ${shown(name)}`);
  }
  const known = tensorTypes.get(type);
  if (known === undefined) return undefined;
  const [weights, bytes] = known;
  // A tensor without dimensions has one weight.
  const [row = 1] = shape;
  if (row % weights !== 0) {
    throw new GgufFault(
      `has rows of ${row} weights for the tensor ${shown(name)}, no multiple of ${weights}`,
    );
  }
  const count = shape.reduce((product, size) => product * size, 1);
  if (!Number.isSafeInteger(count)) {
    throw new GgufFault(
      `has the dimensions ${shape.join(" × ")} for the tensor ${shown(name)}, which is too large`,
    );
  }
  return (count / weights) * bytes;
}
