import { GgufFault, type GgufReader } from "./gguf-reader.ts";

/** A value of the metadata, as far as it is kept. */
export type GgufValue =
  | { readonly kind: "integer"; readonly number: number }
  | { readonly kind: "float"; readonly number: number }
  | { readonly kind: "boolean"; readonly value: boolean }
  /** `text` is undefined for a long text. */
  | { readonly kind: "text"; readonly text: string | undefined }
  | {
      readonly kind: "array";
      readonly of: "integer" | "float" | "boolean" | "text";
      readonly length: number;
    };

/** An entry of the tensor table. */
export interface GgufTensor {
  readonly name: string;
  /** Innermost first. */
  readonly shape: readonly number[];
  readonly type: number;
  /** From the start of the tensor data, in bytes. */
  readonly offset: number;
}

export interface GgufHeader {
  readonly values: ReadonlyMap<string, GgufValue>;
  readonly tensors: readonly GgufTensor[];
  /** Bytes of magic, counts, metadata and tensor table. */
  readonly bytes: number;
}

/** Versions of the format that llama.cpp reads. */
const VERSIONS = new Set([2, 3]);
/** Real files have a few dozen. */
const MAX_KEY_VALUES = 65_536;
/** Real files have up to a few thousand. */
const MAX_TENSORS = 65_536;
/** The largest vocabularies have some 300,000 tokens and twice as many merges. */
const MAX_ARRAY_TEXTS = 4_194_304;
/** Longer texts, such as chat templates, are skipped; in bytes. */
const MAX_KEPT_TEXT_BYTES = 256;
/** Limits of ggml. */
const MAX_TENSOR_NAME_BYTES = 63;
const MAX_DIMENSIONS = 4;
/** Least bytes of a key-value: the length of a key of one byte, its type and a value of one byte. */
const MIN_KEY_VALUE_BYTES = 14;
/** Least bytes of a tensor's entry: a name of one byte and its length, no dimensions, type and offset. */
const MIN_TENSOR_BYTES = 25;

/** Value types by number: kind and bytes. Texts have their length before them; arrays are handled apart. */
const scalars = [
  ["integer", 1],
  ["integer", 1],
  ["integer", 2],
  ["integer", 2],
  ["integer", 4],
  ["integer", 4],
  ["float", 4],
  ["boolean", 1],
  undefined,
  undefined,
  ["integer", 8],
  ["integer", 8],
  ["float", 8],
] as const;
const TEXT = 8;
const ARRAY = 9;

/** Reads the header of a GGUF file. @throws GgufFault with what is wrong, as a predicate; a system error of a read */
export async function readGgufHeader(reader: GgufReader): Promise<GgufHeader> {
  await checkStart(reader);
  const tensorCount = await reader.count("tensors", MIN_TENSOR_BYTES);
  const valueCount = await reader.count("key-values", MIN_KEY_VALUE_BYTES);
  if (tensorCount > MAX_TENSORS)
    throw new GgufFault(`claims ${tensorCount} tensors; at most ${MAX_TENSORS} are read`);
  if (valueCount > MAX_KEY_VALUES) {
    throw new GgufFault(`claims ${valueCount} key-values; at most ${MAX_KEY_VALUES} are read`);
  }
  reader.section = "its key-values";
  const values = new Map<string, GgufValue>();
  for (let index = 0; index < valueCount; index++) {
    const key = await reader.text(`key ${index + 1}`);
    if (key === "") throw new GgufFault(`has an empty key as key-value ${index + 1}`);
    if (values.has(key)) throw new GgufFault(`has the key ${shown(key)} twice`);
    values.set(key, await readValue(reader, key));
  }
  reader.section = "its tensor table";
  const tensors = new Map<string, GgufTensor>();
  for (let index = 0; index < tensorCount; index++) {
    const tensor = await readTensor(reader, index + 1);
    if (tensors.has(tensor.name)) throw new GgufFault(`has the tensor ${shown(tensor.name)} twice`);
    tensors.set(tensor.name, tensor);
  }
  return { values, tensors: [...tensors.values()], bytes: reader.position };
}

/** A name from the file, shortened and escaped for a log line. */
export function shown(name: string): string {
  return JSON.stringify(name.slice(0, MAX_TENSOR_NAME_BYTES));
}

async function checkStart(reader: GgufReader): Promise<void> {
  if (reader.remaining < 4 || (await reader.bytes(4)).toString("latin1") !== "GGUF") {
    throw new GgufFault("is not a GGUF file");
  }
  const version = await reader.uint32();
  if (VERSIONS.has(version)) return;
  const swapped = Buffer.alloc(4);
  swapped.writeUInt32BE(version);
  throw new GgufFault(
    VERSIONS.has(swapped.readUInt32LE())
      ? "is a GGUF file for big-endian machines"
      : `has version ${version} of the GGUF format; versions 2 and 3 are read`,
  );
}

async function readValue(reader: GgufReader, key: string): Promise<GgufValue> {
  const type = await reader.uint32();
  if (type === TEXT) return readText(reader, key);
  if (type === ARRAY) return readArray(reader, key);
  const scalar = scalars[type];
  if (!scalar) throw new GgufFault(`has a value of the unknown type ${type} for the key ${shown(key)}`);
  const [kind] = scalar;
  const number = numberOf(await reader.bytes(scalar[1]), type);
  return kind === "boolean" ? { kind, value: number !== 0 } : { kind, number };
}

async function readText(reader: GgufReader, key: string): Promise<GgufValue> {
  const length = await reader.count(`bytes for the value of ${shown(key)}`, 1);
  if (length <= MAX_KEPT_TEXT_BYTES)
    return { kind: "text", text: (await reader.bytes(length)).toString("utf8") };
  reader.skip(length);
  return { kind: "text", text: undefined };
}

async function readArray(reader: GgufReader, key: string): Promise<GgufValue> {
  const type = await reader.uint32();
  const what = `the array ${shown(key)}`;
  const scalar = scalars[type];
  if (!scalar && type !== TEXT) throw new GgufFault(`has items of the unknown type ${type} in ${what}`);
  const itemBytes = scalar?.[1] ?? 8;
  const length = await reader.count(`items of ${what}`, itemBytes);
  if (scalar) reader.skip(length * itemBytes);
  else if (length > MAX_ARRAY_TEXTS) {
    throw new GgufFault(`claims ${length} texts for ${what}; at most ${MAX_ARRAY_TEXTS} are read`);
  } else await reader.skipTexts(length, what);
  return { kind: "array", of: scalar?.[0] ?? "text", length };
}

function numberOf(bytes: Buffer, type: number): number {
  switch (type) {
    case 0:
    case 7:
      return bytes.readUInt8();
    case 1:
      return bytes.readInt8();
    case 2:
      return bytes.readUInt16LE();
    case 3:
      return bytes.readInt16LE();
    case 4:
      return bytes.readUInt32LE();
    case 5:
      return bytes.readInt32LE();
    case 6:
      return bytes.readFloatLE();
    case 10:
      return Number(bytes.readBigUInt64LE());
    case 11:
      return Number(bytes.readBigInt64LE());
    default:
      return bytes.readDoubleLE();
  }
}

async function readTensor(reader: GgufReader, position: number): Promise<GgufTensor> {
  const name = await reader.text(`the name of tensor ${position}`, MAX_TENSOR_NAME_BYTES);
  if (name === "") throw new GgufFault(`has no name for tensor ${position}`);
  const dimensions = await reader.uint32();
  if (dimensions > MAX_DIMENSIONS) {
    throw new GgufFault(
      `has ${dimensions} dimensions for the tensor ${shown(name)}; up to ${MAX_DIMENSIONS} are allowed`,
    );
  }
  const shape: number[] = [];
  for (let index = 0; index < dimensions; index++)
    shape.push(Number(BigInt.asIntN(64, await reader.uint64())));
  const type = await reader.uint32();
  return { name, shape, type, offset: Number(await reader.uint64()) };
}
