import { createCipheriv } from "node:crypto";
import { cachedFile } from "./cached-file.ts";
import { ggufParts, tensorType, type GgufTensor, type GgufValue } from "./gguf-writer.ts";
import { byteName, pieceType, type Piece } from "./sentence-pieces.ts";
import { ZEPHYR_TEMPLATE } from "./tiny-gguf.ts";

/**
 * A model with the shape of TinyLlama-1.1B-Chat and random weights in Q4_0. It costs as much compute as the real model
 * but generates random words, so that engines can be measured without a download. Stop and byte tokens have a very low
 * probability, so that each answer has the requested length and consists of whole characters.
 */

const CONTEXT = 2048;
const WIDTH = 2048;
const LAYERS = 22;
const FEED_FORWARD = 5632;
const HEADS = 32;
const KV_HEADS = 4;
const HEAD_WIDTH = WIDTH / HEADS;
const VOCABULARY = 32_000;

/** Number of tokens with a low probability: unknown, begin, end, and the 256 bytes. */
const RARE_TOKENS = 259;

/** Q4_0 block: a half-precision scale followed by 32 weights in 16 bytes. */
const BLOCK_WEIGHTS = 32;
const BLOCK_BYTES = 18;

/** Standard deviation of a uniform nibble from 0 to 15. */
const NIBBLE_DEVIATION = 4.61;

/** Version of the file content. Increase it when the bytes change, so that cached files are written again. */
const VERSION = 1;

/**
 * File name of TinyLlama in the catalog, so that the service uses TinyLlama's template, markers and sampling. The
 * folder name shows what the file really is.
 */
const FILE = "tinyllama-1.1b-chat-v1.0.Q4_K_M.gguf";

/** Path of the model (620 MB), written under node_modules/.cache on first use, which takes a few seconds. */
export function randomTinyLlama(): Promise<string> {
  return cachedFile(`random-tinyllama-q4_0-v${VERSION}`, FILE, ggufParts(metadata(), tensors()));
}

/** Bits of the absolute value of a nonzero number in half precision. @throws RangeError outside the normal range. */
export function halfBits(value: number): number {
  const exponent = Math.floor(Math.log2(Math.abs(value)));
  if (!(exponent >= -14 && exponent <= 14))
    throw new RangeError(`${value} is outside the normal range of half precision`);
  const fraction = Math.round((Math.abs(value) / 2 ** exponent - 1) * 1024);
  return ((exponent + 15) << 10) + fraction;
}

/** `count` pseudo-random bytes. The same seed gives the same bytes. */
function randomBytes(seed: number, count: number): Buffer {
  const iv = Buffer.alloc(16);
  iv.writeUInt32LE(seed);
  return createCipheriv("aes-128-ctr", Buffer.alloc(16, 7), iv).update(Buffer.alloc(count));
}

/** A matrix of random Q4_0 weights. The first `rareRows` rows get a scale close to zero. */
function matrix(name: string, columns: number, rows: number, gain: number, rareRows = 0): GgufTensor {
  const blocks = (columns * rows) / BLOCK_WEIGHTS;
  const byteLength = blocks * BLOCK_BYTES;
  const scale = halfBits(gain / Math.sqrt(columns) / NIBBLE_DEVIATION);
  const rareScale = halfBits(2 ** -14);
  const rareBlocks = (rareRows * columns) / BLOCK_WEIGHTS;
  return {
    name: `${name}.weight`,
    shape: [columns, rows],
    type: tensorType.q4_0,
    byteLength,
    write() {
      const bytes = randomBytes(seedOf(name), byteLength);
      for (let block = 0, at = 0; block < blocks; block++, at += BLOCK_BYTES) {
        // A random sign, since nibbles stand for −8 to 7, whose mean is not zero.
        const sign = (bytes[at] ?? 0) & 1 ? 0x8000 : 0;
        bytes.writeUInt16LE(sign | (block < rareBlocks ? rareScale : scale), at);
      }
      return bytes;
    },
  };
}

function seedOf(name: string): number {
  let seed = 17;
  for (let at = 0; at < name.length; at++) seed = (Math.imul(seed, 31) + name.charCodeAt(at)) >>> 0;
  return seed;
}

function ones(name: string): GgufTensor {
  const data = new Float32Array(WIDTH).fill(1);
  return {
    name: `${name}.weight`,
    shape: [WIDTH],
    type: tensorType.f32,
    byteLength: data.byteLength,
    write: () => Buffer.from(data.buffer),
  };
}

function tensors(): GgufTensor[] {
  const all = [
    matrix("token_embd", WIDTH, VOCABULARY, Math.sqrt(WIDTH)),
    ones("output_norm"),
    matrix("output", WIDTH, VOCABULARY, 2.5, RARE_TOKENS),
  ];
  for (let layer = 0; layer < LAYERS; layer++) {
    const block = (name: string) => `blk.${layer}.${name}`;
    all.push(
      ones(block("attn_norm")),
      ones(block("ffn_norm")),
      matrix(block("attn_q"), WIDTH, WIDTH, 1.5),
      matrix(block("attn_k"), WIDTH, KV_HEADS * HEAD_WIDTH, 1.5),
      matrix(block("attn_v"), WIDTH, KV_HEADS * HEAD_WIDTH, 1.5),
      matrix(block("attn_output"), WIDTH, WIDTH, 1.5),
      matrix(block("ffn_gate"), WIDTH, FEED_FORWARD, 1.5),
      matrix(block("ffn_up"), WIDTH, FEED_FORWARD, 1.5),
      matrix(block("ffn_down"), FEED_FORWARD, WIDTH, 1.5),
    );
  }
  return all;
}

/** Words of one to three syllables, each with all its prefixes, so that the tokenizer reaches it by merges. */
function vocabulary(): Piece[] {
  const pieces: Piece[] = [
    { text: "<unk>", score: 0, type: pieceType.unknown },
    { text: "<s>", score: 0, type: pieceType.control },
    { text: "</s>", score: 0, type: pieceType.control },
  ];
  for (let byte = 0; byte < 256; byte++) {
    pieces.push({ text: byteName(byte), score: 0, type: pieceType.byte });
  }
  const normal = new Set<string>(["▁"]);
  for (let code = 33; code < 127; code++) normal.add(String.fromCharCode(code));
  for (const word of words()) {
    for (let end = 1; end <= word.length; end++) normal.add(`▁${word.slice(0, end)}`);
    if (pieces.length + normal.size >= VOCABULARY) break;
  }
  let rank = 0;
  for (const text of normal) {
    if (pieces.length === VOCABULARY) break;
    pieces.push({ text, score: -++rank, type: pieceType.normal });
  }
  return pieces;
}

function* words(): Generator<string, void, void> {
  yield* COMMON_WORDS;
  const syllables: string[] = [];
  for (const begin of "bcdfghjklmnprstvwz") {
    for (const middle of "aeiou")
      for (const end of ["", "n", "r", "s", "l"]) syllables.push(begin + middle + end);
  }
  for (const first of syllables) for (const second of syllables) yield first + second;
}

/** Common words for prompts, one token each in most vocabularies. */
export const COMMON_WORDS: readonly string[] = (
  "the of and to in is you that it he was for on are as with his they at be this have from or one had by word but " +
  "not what all were we when your can said there use an each which she do how their if will up other about out many " +
  "then them these so some her would make like him into time has look two more write go see number no way could " +
  "people my than first water been call who oil its now find long down day did get come made may part over new sound " +
  "take only little work know place year live me back give most very after thing our just name good sentence man " +
  "think say great where help through much before line right too mean old any same tell boy follow came want show"
).split(" ");

function metadata(): [string, GgufValue][] {
  const pieces = vocabulary();
  return [
    ["general.architecture", { string: "llama" }],
    ["general.name", { string: "TinyLlama shape, random weights" }],
    // MOSTLY_Q4_0
    ["general.file_type", { uint32: 2 }],
    ["general.quantization_version", { uint32: 2 }],
    ["llama.context_length", { uint32: CONTEXT }],
    ["llama.embedding_length", { uint32: WIDTH }],
    ["llama.block_count", { uint32: LAYERS }],
    ["llama.feed_forward_length", { uint32: FEED_FORWARD }],
    ["llama.rope.dimension_count", { uint32: HEAD_WIDTH }],
    ["llama.rope.freq_base", { float32: 10_000 }],
    ["llama.attention.head_count", { uint32: HEADS }],
    ["llama.attention.head_count_kv", { uint32: KV_HEADS }],
    ["llama.attention.layer_norm_rms_epsilon", { float32: 1e-5 }],
    ["llama.vocab_size", { uint32: pieces.length }],
    ["tokenizer.ggml.model", { string: "llama" }],
    ["tokenizer.ggml.tokens", { strings: pieces.map(({ text }) => text) }],
    ["tokenizer.ggml.scores", { floats: pieces.map(({ score }) => score) }],
    ["tokenizer.ggml.token_type", { ints: pieces.map(({ type }) => type) }],
    ["tokenizer.ggml.bos_token_id", { uint32: 1 }],
    ["tokenizer.ggml.eos_token_id", { uint32: 2 }],
    ["tokenizer.ggml.unknown_token_id", { uint32: 0 }],
    ["tokenizer.ggml.add_bos_token", { bool: true }],
    ["tokenizer.ggml.add_eos_token", { bool: false }],
    ["tokenizer.chat_template", { string: ZEPHYR_TEMPLATE }],
  ];
}
