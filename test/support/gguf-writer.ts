/** A GGUF metadata value, by type. `ints` is an array of signed 32-bit numbers. */
export type GgufValue =
  | { readonly uint32: number }
  | { readonly float32: number }
  | { readonly bool: boolean }
  | { readonly string: string }
  | { readonly strings: readonly string[] }
  | { readonly floats: readonly number[] }
  | { readonly ints: readonly number[] };

/** Numbers of the tensor types that tests write. */
export const tensorType = { f32: 0, q4_0: 2 } as const;

export interface GgufTensor {
  readonly name: string;
  /** Dimensions, innermost first, as in GGUF. */
  readonly shape: readonly number[];
  /** One of {@link tensorType}. */
  readonly type: number;
  readonly byteLength: number;
  /** Returns the `byteLength` bytes. Called only when they are written, so a whole model need not fit into memory. */
  write(): Buffer;
}

/** Alignment of tensor data in bytes, GGUF's default. */
const ALIGNMENT = 32;

const valueType = { uint32: 4, int32: 5, float32: 6, bool: 7, string: 8, array: 9 } as const;

/** Collects buffers in GGUF's little-endian encoding. */
class Writer {
  readonly parts: Buffer[] = [];
  length = 0;

  bytes(buffer: Buffer): void {
    this.parts.push(buffer);
    this.length += buffer.length;
  }

  uint32(value: number): void {
    const buffer = Buffer.alloc(4);
    buffer.writeUInt32LE(value);
    this.bytes(buffer);
  }

  uint64(value: number): void {
    const buffer = Buffer.alloc(8);
    buffer.writeBigUInt64LE(BigInt(value));
    this.bytes(buffer);
  }

  float32(value: number): void {
    const buffer = Buffer.alloc(4);
    buffer.writeFloatLE(value);
    this.bytes(buffer);
  }

  string(value: string): void {
    const buffer = Buffer.from(value, "utf8");
    this.uint64(buffer.length);
    this.bytes(buffer);
  }
}

function writeValue(writer: Writer, value: GgufValue): void {
  if ("uint32" in value) {
    writer.uint32(valueType.uint32);
    writer.uint32(value.uint32);
  } else if ("float32" in value) {
    writer.uint32(valueType.float32);
    writer.float32(value.float32);
  } else if ("bool" in value) {
    writer.uint32(valueType.bool);
    writer.bytes(Buffer.from([value.bool ? 1 : 0]));
  } else if ("string" in value) {
    writer.uint32(valueType.string);
    writer.string(value.string);
  } else {
    writeArray(writer, value);
  }
}

function writeArray(
  writer: Writer,
  value: Extract<GgufValue, { strings: unknown } | { floats: unknown } | { ints: unknown }>,
): void {
  writer.uint32(valueType.array);
  if ("strings" in value) {
    writer.uint32(valueType.string);
    writer.uint64(value.strings.length);
    for (const text of value.strings) writer.string(text);
  } else if ("floats" in value) {
    writer.uint32(valueType.float32);
    writer.uint64(value.floats.length);
    for (const number of value.floats) writer.float32(number);
  } else {
    writer.uint32(valueType.int32);
    writer.uint64(value.ints.length);
    for (const number of value.ints) writer.uint32(number);
  }
}

function padding(length: number): Buffer {
  return Buffer.alloc((ALIGNMENT - (length % ALIGNMENT)) % ALIGNMENT);
}

/** The bytes of a GGUF file of version 3, piece by piece. @throws RangeError if a tensor has the wrong length. */
export function* ggufParts(
  metadata: readonly (readonly [key: string, value: GgufValue])[],
  tensors: readonly GgufTensor[],
): Generator<Buffer, void, void> {
  const writer = new Writer();
  writer.bytes(Buffer.from("GGUF"));
  writer.uint32(3);
  writer.uint64(tensors.length);
  writer.uint64(metadata.length);
  for (const [key, value] of metadata) {
    writer.string(key);
    writeValue(writer, value);
  }
  let offset = 0;
  for (const { name, shape, type, byteLength } of tensors) {
    writer.string(name);
    writer.uint32(shape.length);
    for (const size of shape) writer.uint64(size);
    writer.uint32(type);
    writer.uint64(offset);
    offset += byteLength + padding(byteLength).length;
  }
  writer.bytes(padding(writer.length));
  yield Buffer.concat(writer.parts);
  for (const tensor of tensors) {
    const bytes = tensor.write();
    if (bytes.length !== tensor.byteLength) {
      throw new RangeError(`${tensor.name} has ${bytes.length} bytes instead of ${tensor.byteLength}`);
    }
    yield bytes;
    yield padding(bytes.length);
  }
}
