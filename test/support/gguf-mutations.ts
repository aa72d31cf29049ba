import { createHash } from "node:crypto";

/** A damaged copy of a GGUF file. */
export interface MutatedGguf {
  /** What was changed, for test names. */
  readonly name: string;
  readonly bytes: Buffer;
}

/** Positions of the fields of a file of version 3. */
interface Layout {
  readonly keyValues: readonly KeyValue[];
  readonly tensors: readonly Tensor[];
  /** End of the tensor table. */
  readonly headerEnd: number;
}
interface KeyValue {
  readonly key: string;
  /** Position of the key's length. */
  readonly at: number;
  readonly typeAt: number;
  readonly type: number;
  readonly valueAt: number;
}
interface Tensor {
  readonly name: string;
  readonly at: number;
  readonly dimensionsAt: number;
  readonly shapeAt: number;
  readonly typeAt: number;
  readonly offsetAt: number;
}

const VALUE_BYTES = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8];
const TEXT = 8;
const ARRAY = 9;

function layoutOf(bytes: Buffer): Layout {
  let at = 8;
  const uint64 = (): number => Number(bytes.readBigUInt64LE((at += 8) - 8));
  const uint32 = (): number => bytes.readUInt32LE((at += 4) - 4);
  const text = (): string => {
    const length = uint64();
    return bytes.toString("utf8", at, (at += length));
  };
  const value = (type: number): void => {
    if (type === TEXT) void text();
    else if (type === ARRAY) {
      const [item, count] = [uint32(), uint64()];
      for (let index = 0; index < count; index++) value(item);
    } else at += VALUE_BYTES[type] ?? 0;
  };
  const [tensorCount, valueCount] = [uint64(), uint64()];
  const keyValues = Array.from({ length: valueCount }, () => {
    const start = at;
    const key = text();
    const typeAt = at;
    const type = uint32();
    const valueAt = at;
    value(type);
    return { key, at: start, typeAt, type, valueAt };
  });
  const tensors = Array.from({ length: tensorCount }, () => {
    const start = at;
    const name = text();
    const dimensionsAt = at;
    const dimensions = uint32();
    const shapeAt = at;
    at += dimensions * 8;
    const typeAt = at;
    at += 12;
    return { name, at: start, dimensionsAt, shapeAt, typeAt, offsetAt: typeAt + 4 };
  });
  return { keyValues, tensors, headerEnd: at };
}

/** Numbers from 0 to below `limit`, the same on every machine. */
function generator(seed: number): (limit: number) => number {
  let state = seed >>> 0;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

const HUGE = [2n ** 31n, 2n ** 32n - 1n, 2n ** 40n, 2n ** 63n, 2n ** 64n - 1n] as const;
const NUMBERS = [0, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1] as const;
const HYPERPARAMETERS =
  /\.(context_length|embedding_length|block_count|feed_forward_length|dimension_count|head_count|head_count_kv)$/;

/** Kinds of damage. Each call makes another one of its kind. */
function mutations(
  original: Buffer,
): Record<string, (index: number, random: (limit: number) => number) => MutatedGguf> {
  const { keyValues, tensors, headerEnd } = layoutOf(original);
  const pick = <T>(items: readonly T[], index: number): T => items[index % items.length] as T;
  const changed = (name: string, change: (bytes: Buffer) => void): MutatedGguf => {
    const bytes = Buffer.from(original);
    change(bytes);
    return { name, bytes };
  };
  const uint64 = (name: string, at: number, value: bigint) =>
    changed(`${name} = ${value}`, (bytes) => bytes.writeBigUInt64LE(value, at));
  const uint32 = (name: string, at: number, value: number) =>
    changed(`${name} = ${value}`, (bytes) => bytes.writeUInt32LE(value, at));
  const cut = (name: string, length: number): MutatedGguf => ({
    name: `${name} cut at ${length}`,
    bytes: Buffer.from(original.subarray(0, length)),
  });
  const texts = keyValues.filter(({ type }) => type === TEXT);
  const arrays = keyValues.filter(({ type }) => type === ARRAY);
  const parameters = keyValues.filter(({ key }) => HYPERPARAMETERS.test(key));
  const fileType = keyValues.find(({ key }) => key === "general.file_type") as KeyValue;
  /** Replaces a name by another one of the same length. */
  const renamed = (entry: { at: number }, to: string) => (bytes: Buffer) => {
    bytes.write(to, entry.at + 8, "latin1");
  };
  return {
    "start cut": (index) => cut("start", pick([0, 1, 3, 4, 7, 8, 15, 16, 23, 24], index)),
    "header cut": (_, random) => cut("header", 24 + random(headerEnd - 24)),
    "data cut": (_, random) => cut("data", headerEnd + random(original.length - headerEnd)),
    magic: (index) =>
      changed(`magic ${index}`, (bytes) =>
        bytes.write(pick(["GGUX", "ggml", "FUGG", "PK\x03\x04", "\0\0\0\0"], index), 0, "latin1"),
      ),
    version: (index) => uint32("version", 4, pick([0, 1, 4, 3 << 24, 2 ** 32 - 1], index)),
    "tensor count": (index) => uint64("tensor count", 8, pick([...HUGE, 0n, 1n, 99_999n], index)),
    "key-value count": (index) => uint64("key-value count", 16, pick([...HUGE, 0n, 1n, 70_000n], index)),
    "key length": (index, random) => {
      const entry = pick(keyValues, random(keyValues.length));
      return uint64(`length of ${entry.key}`, entry.at, pick([0n, ...HUGE], index));
    },
    "value type": (index) => {
      const entry = pick(keyValues, index * 5);
      return uint32(
        `type of ${entry.key}`,
        entry.typeAt,
        pick([13, 255, 2 ** 32 - 1, 0, 7, 8, 9, 10, 12], index),
      );
    },
    "text length": (index) => {
      const entry = pick(texts, index);
      return uint64(`length of ${entry.key}`, entry.valueAt, pick([0n, ...HUGE], index));
    },
    "array type": (index) => {
      const entry = pick(arrays, index);
      return uint32(`items of ${entry.key}`, entry.valueAt, pick([9, 13, 0, 8, 12, 2 ** 32 - 1], index));
    },
    "array length": (index) => {
      const entry = pick(arrays, index);
      return uint64(`length of ${entry.key}`, entry.valueAt + 4, pick([0n, 1n, ...HUGE], index));
    },
    parameter: (index) => {
      const entry = pick(parameters, index);
      return uint32(entry.key, entry.valueAt, pick(NUMBERS, Math.floor(index / parameters.length)));
    },
    // Both names have 17 characters.
    alignment: (index) => {
      const alignment = pick([0, 1, 3, 7, 33, 2 ** 31, 2 ** 32 - 1], index);
      return changed(`alignment ${alignment}`, (bytes) => {
        renamed(fileType, "general.alignment")(bytes);
        bytes.writeUInt32LE(alignment, fileType.valueAt);
      });
    },
    "same key": (index) => {
      const twins = keyValues.flatMap((entry) =>
        keyValues
          .filter((other) => other !== entry && other.key.length === entry.key.length)
          .map((other) => [entry, other] as const),
      );
      const [entry, other] = pick(twins, index);
      return changed(`${entry.key} twice`, renamed(other, entry.key));
    },
    "same tensor": (index) => {
      const twins = tensors.flatMap((entry) =>
        tensors
          .filter((other) => other !== entry && other.name.length === entry.name.length)
          .map((other) => [entry, other] as const),
      );
      const [entry, other] = pick(twins, index * 7);
      return changed(`${entry.name} twice`, renamed(other, entry.name));
    },
    "tensor name": (index) => {
      const entry = pick(tensors, index * 3);
      return uint64(`length of ${entry.name}`, entry.at, pick([0n, 64n, ...HUGE], index));
    },
    dimensions: (index) => {
      const entry = pick(tensors, index * 3);
      return uint32(
        `dimensions of ${entry.name}`,
        entry.dimensionsAt,
        pick([0, 5, 3, 1, 2 ** 31, 2 ** 32 - 1], index),
      );
    },
    shape: (index) => {
      const entry = pick(tensors, index * 5);
      return uint64(`shape of ${entry.name}`, entry.shapeAt, pick([0n, 1n, 63n, 2n ** 20n, ...HUGE], index));
    },
    "tensor type": (index) => {
      const entry = pick(tensors, index * 5);
      return uint32(
        `type of ${entry.name}`,
        entry.typeAt,
        pick([1, 2, 4, 8, 12, 31, 41, 99, 255, 256, 2 ** 31], index),
      );
    },
    offset: (index) => {
      const entry = pick(tensors, index * 5 + 1);
      return uint64(
        `offset of ${entry.name}`,
        entry.offsetAt,
        pick([0n, 1n, 32n, 2n ** 20n, ...HUGE], index),
      );
    },
    epsilon: (index) => {
      const entry = keyValues.find(({ key }) => key.endsWith("epsilon")) as KeyValue;
      const value = pick([Number.NaN, -1, Number.POSITIVE_INFINITY, 1e30], index);
      return changed(`${entry.key} = ${value}`, (bytes) => bytes.writeFloatLE(value, entry.valueAt));
    },
    "token id": (index) => {
      const ids = keyValues.filter(({ key }) => key.endsWith("_token_id"));
      const entry = pick(ids, index);
      return uint32(entry.key, entry.valueAt, pick([100_000, 2 ** 31, 2 ** 32 - 1], index));
    },
    bytes: (index, random) =>
      changed(`random bytes ${index}`, (bytes) => {
        for (let count = 0; count <= index % 8; count++) bytes[24 + random(headerEnd - 24)] = random(256);
      }),
    blank: (index, random) =>
      changed(`blanked block ${index}`, (bytes) => {
        const from = random(headerEnd);
        bytes.fill(index % 2 === 0 ? 0 : 0xff, from, Math.min(headerEnd, from + 64));
      }),
  };
}

/** `count` different damaged copies of a file, the same on every machine, with each kind of damage in turn. */
export function mutatedGgufs(original: Buffer, count: number): MutatedGguf[] {
  const random = generator(17);
  const kinds = Object.entries(mutations(original));
  const made = new Map<string, MutatedGguf>();
  for (let index = 0; made.size < count; index++) {
    const [kind, mutate] = kinds[index % kinds.length] as (typeof kinds)[number];
    const { name, bytes } = mutate(Math.floor(index / kinds.length), random);
    const hash = createHash("sha256").update(bytes).digest("hex");
    if (!made.has(hash) && !bytes.equals(original)) made.set(hash, { name: `${kind}: ${name}`, bytes });
  }
  return [...made.values()];
}
