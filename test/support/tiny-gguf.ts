import { createHash, randomUUID } from "node:crypto";
import { access, mkdir, rename, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

/**
 * Writes a llama-architecture GGUF of about 1 MB with random weights, so that tests run the real engine without a
 * download. The vocabulary is SentencePiece-like with byte tokens; the template in its metadata is Zephyr's, whose
 * role markers are plain text to the tokenizer, as in TinyLlama.
 */

const CONTEXT = 4096;
const WIDTH = 64;
const LAYERS = 2;
const HEADS = 4;
const FEED_FORWARD = 160;
const ALIGNMENT = 32;

/** Zephyr's template in the form TinyLlama's metadata carries it. */
export const ZEPHYR_TEMPLATE =
  "{% for message in messages %}\n{% if message['role'] == 'user' %}\n" +
  "{{ '<|user|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'system' %}\n" +
  "{{ '<|system|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'assistant' %}\n" +
  "{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n" +
  "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}";

const WORDS =
  "the of and to in is you that it he was for on are as with his they I at be this have from or one had by word but " +
  "not what all were we when your can said there use an each which she do how their if will up other about out many " +
  "then them these so some her would make like him into time has look two more write go see number no way could " +
  "people my than first water been call who oil its now find long down day did get come made may part user system " +
  "assistant";

const pieceType = { unknown: 2, control: 3, normal: 1, byte: 6 } as const;

interface Piece {
  readonly text: string;
  readonly score: number;
  readonly type: number;
}

function vocabulary(): Piece[] {
  const pieces: Piece[] = [
    { text: "<unk>", score: 0, type: pieceType.unknown },
    { text: "<s>", score: 0, type: pieceType.control },
    { text: "</s>", score: 0, type: pieceType.control },
  ];
  for (let byte = 0; byte < 256; byte++) {
    const hex = byte.toString(16).toUpperCase().padStart(2, "0");
    pieces.push({ text: `<0x${hex}>`, score: 0, type: pieceType.byte });
  }
  const normal = new Set<string>();
  // Every prefix of a word, so that the tokenizer can reach the word by merges.
  for (const word of WORDS.split(" ")) {
    for (let end = 1; end <= word.length; end++) normal.add(`▁${word.slice(0, end)}`);
    for (let end = 2; end <= word.length; end++) normal.add(word.slice(0, end));
  }
  normal.add("▁");
  for (let code = 33; code < 127; code++) normal.add(String.fromCharCode(code));
  for (const character of "éüß中文😀") normal.add(character);
  let rank = 0;
  for (const text of normal) pieces.push({ text, score: -++rank, type: pieceType.normal });
  return pieces;
}

/** Uniform in [-1, 1), the same on every machine. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 31 - 1;
  };
}

interface Tensor {
  readonly name: string;
  /** Innermost dimension first, as GGUF has it. */
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

function tensors(pieces: readonly Piece[]): Tensor[] {
  const random = generator(20_240_229);
  const matrix = (name: string, shape: readonly number[], deviation: number): Tensor => {
    const data = new Float32Array(shape.reduce((product, size) => product * size, 1));
    const bound = deviation * Math.sqrt(3);
    for (let index = 0; index < data.length; index++) data[index] = random() * bound;
    return { name, shape, data };
  };
  const ones = (name: string): Tensor => ({ name, shape: [WIDTH], data: new Float32Array(WIDTH).fill(1) });
  const unit = 1 / Math.sqrt(WIDTH);
  const output = matrix("output.weight", [WIDTH, pieces.length], 2.5 * unit);
  // Byte tokens stay possible but rare, so that most text is whole characters.
  for (let row = 3; row < 259; row++) {
    for (let column = 0; column < WIDTH; column++) output.data[row * WIDTH + column]! *= 0.55;
  }
  const all = [matrix("token_embd.weight", [WIDTH, pieces.length], 1), ones("output_norm.weight"), output];
  for (let layer = 0; layer < LAYERS; layer++) {
    const block = (name: string) => `blk.${layer}.${name}.weight`;
    all.push(ones(block("attn_norm")), ones(block("ffn_norm")));
    for (const name of ["attn_q", "attn_k", "attn_v", "attn_output"]) {
      all.push(matrix(block(name), [WIDTH, WIDTH], 1.5 * unit));
    }
    all.push(matrix(block("ffn_gate"), [WIDTH, FEED_FORWARD], 1.5 * unit));
    all.push(matrix(block("ffn_up"), [WIDTH, FEED_FORWARD], 1.5 * unit));
    all.push(matrix(block("ffn_down"), [FEED_FORWARD, WIDTH], 1.5 / Math.sqrt(FEED_FORWARD)));
  }
  return all;
}

const type = { uint32: 4, float32: 6, bool: 7, string: 8, array: 9 } as const;

/** Grows a list of buffers in GGUF's little-endian form. */
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

  pad(): void {
    const rest = this.length % ALIGNMENT;
    if (rest > 0) this.bytes(Buffer.alloc(ALIGNMENT - rest));
  }
}

type Value =
  | { readonly uint32: number }
  | { readonly float32: number }
  | { readonly bool: boolean }
  | { readonly string: string }
  | { readonly strings: readonly string[] }
  | { readonly floats: readonly number[] }
  | { readonly ints: readonly number[] };

function writeValue(writer: Writer, value: Value): void {
  if ("uint32" in value) {
    writer.uint32(type.uint32);
    writer.uint32(value.uint32);
  } else if ("float32" in value) {
    writer.uint32(type.float32);
    writer.float32(value.float32);
  } else if ("bool" in value) {
    writer.uint32(type.bool);
    writer.bytes(Buffer.from([value.bool ? 1 : 0]));
  } else if ("string" in value) {
    writer.uint32(type.string);
    writer.string(value.string);
  } else {
    writeArray(writer, value);
  }
}

function writeArray(writer: Writer, value: Extract<Value, object>): void {
  writer.uint32(type.array);
  if ("strings" in value) {
    writer.uint32(type.string);
    writer.uint64(value.strings.length);
    for (const text of value.strings) writer.string(text);
  } else if ("floats" in value) {
    writer.uint32(type.float32);
    writer.uint64(value.floats.length);
    for (const number of value.floats) writer.float32(number);
  } else if ("ints" in value) {
    writer.uint32(5);
    writer.uint64(value.ints.length);
    for (const number of value.ints) writer.uint32(number);
  }
}

function metadata(pieces: readonly Piece[], template: string | null): [string, Value][] {
  const entries: [string, Value][] = [
    ["general.architecture", { string: "llama" }],
    ["general.name", { string: "Tiny Random" }],
    ["general.file_type", { uint32: 0 }],
    ["llama.context_length", { uint32: CONTEXT }],
    ["llama.embedding_length", { uint32: WIDTH }],
    ["llama.block_count", { uint32: LAYERS }],
    ["llama.feed_forward_length", { uint32: FEED_FORWARD }],
    ["llama.rope.dimension_count", { uint32: WIDTH / HEADS }],
    ["llama.attention.head_count", { uint32: HEADS }],
    ["llama.attention.head_count_kv", { uint32: HEADS }],
    ["llama.attention.layer_norm_rms_epsilon", { float32: 1e-5 }],
    ["llama.vocab_size", { uint32: pieces.length }],
    ["tokenizer.ggml.model", { string: "llama" }],
    ["tokenizer.ggml.tokens", { strings: pieces.map((piece) => piece.text) }],
    ["tokenizer.ggml.scores", { floats: pieces.map((piece) => piece.score) }],
    ["tokenizer.ggml.token_type", { ints: pieces.map((piece) => piece.type) }],
    ["tokenizer.ggml.bos_token_id", { uint32: 1 }],
    ["tokenizer.ggml.eos_token_id", { uint32: 2 }],
    ["tokenizer.ggml.unknown_token_id", { uint32: 0 }],
    ["tokenizer.ggml.add_bos_token", { bool: true }],
    ["tokenizer.ggml.add_eos_token", { bool: false }],
  ];
  if (template !== null) entries.push(["tokenizer.chat_template", { string: template }]);
  return entries;
}

/** The bytes of the model; the same on every call. `template`: null leaves it out of the metadata. */
export function tinyGguf(template: string | null = ZEPHYR_TEMPLATE): Buffer {
  const pieces = vocabulary();
  const all = tensors(pieces);
  const entries = metadata(pieces, template);
  const writer = new Writer();
  writer.bytes(Buffer.from("GGUF"));
  writer.uint32(3);
  writer.uint64(all.length);
  writer.uint64(entries.length);
  for (const [key, value] of entries) {
    writer.string(key);
    writeValue(writer, value);
  }
  let offset = 0;
  for (const tensor of all) {
    writer.string(tensor.name);
    writer.uint32(tensor.shape.length);
    for (const size of tensor.shape) writer.uint64(size);
    writer.uint32(0);
    writer.uint64(offset);
    offset += Math.ceil(tensor.data.byteLength / ALIGNMENT) * ALIGNMENT;
  }
  writer.pad();
  for (const tensor of all) {
    writer.bytes(Buffer.from(tensor.data.buffer));
    writer.pad();
  }
  return Buffer.concat(writer.parts);
}

/** Path of the tiny model, written on first use under node_modules/.cache. */
export async function tinyModel(template: string | null = ZEPHYR_TEMPLATE): Promise<string> {
  const bytes = tinyGguf(template);
  const hash = createHash("sha256").update(bytes).digest("hex").slice(0, 12);
  const folder = fileURLToPath(new URL("../../node_modules/.cache/tiny-gguf/", import.meta.url));
  const path = `${folder}tiny-${hash}.gguf`;
  try {
    await access(path);
    return path;
  } catch {
    await mkdir(folder, { recursive: true });
  }
  // Several test processes may write at once: the rename makes the file appear whole.
  const draft = `${path}.${randomUUID()}`;
  await writeFile(draft, bytes);
  await rename(draft, path);
  return path;
}
