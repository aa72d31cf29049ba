import { createHash } from "node:crypto";
import { cachedFile } from "./cached-file.ts";
import { ggufParts, tensorType, type GgufValue } from "./gguf-writer.ts";
import { byteName, pieceType, type Piece } from "./sentence-pieces.ts";

/**
 * A llama-architecture GGUF of about 1 MB with random weights, so that tests run the real engine without a download.
 * The vocabulary is SentencePiece-like with byte tokens. The template in the metadata is Zephyr's, whose role markers
 * are plain text for the tokenizer, as in TinyLlama.
 */

const CONTEXT = 4096;
const WIDTH = 64;
const LAYERS = 2;
const HEADS = 4;
const FEED_FORWARD = 160;
const END_OF_TEXT = 2;

/** Zephyr's template, as in TinyLlama's metadata. */
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

/** @param controlTokens further special tokens, at the end of the vocabulary */
function vocabulary(controlTokens: readonly string[]): Piece[] {
  const pieces: Piece[] = [
    { text: "<unk>", score: 0, type: pieceType.unknown },
    { text: "<s>", score: 0, type: pieceType.control },
    { text: "</s>", score: 0, type: pieceType.control },
  ];
  for (let byte = 0; byte < 256; byte++) {
    pieces.push({ text: byteName(byte), score: 0, type: pieceType.byte });
  }
  const normal = new Set<string>();
  // Every prefix of a word, so that the tokenizer reaches the word by merges.
  for (const word of WORDS.split(" ")) {
    for (let end = 1; end <= word.length; end++) normal.add(`▁${word.slice(0, end)}`);
    for (let end = 2; end <= word.length; end++) normal.add(word.slice(0, end));
  }
  normal.add("▁");
  for (let code = 33; code < 127; code++) normal.add(String.fromCharCode(code));
  for (const character of "éüß中文😀") normal.add(character);
  let rank = 0;
  for (const text of normal) pieces.push({ text, score: -++rank, type: pieceType.normal });
  for (const text of controlTokens) pieces.push({ text, score: 0, type: pieceType.control });
  return pieces;
}

/** A generator of uniform numbers in [-1, 1), the same on every machine. */
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
  /** Dimensions, innermost first, as in GGUF. */
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
  // Byte tokens get a low probability, so that most text consists of whole characters.
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

function metadata(pieces: readonly Piece[], template: string | null): [string, GgufValue][] {
  const entries: [string, GgufValue][] = [
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
    ["tokenizer.ggml.eos_token_id", { uint32: END_OF_TEXT }],
    ["tokenizer.ggml.unknown_token_id", { uint32: 0 }],
    ["tokenizer.ggml.add_bos_token", { bool: true }],
    ["tokenizer.ggml.add_eos_token", { bool: false }],
  ];
  if (template !== null) entries.push(["tokenizer.chat_template", { string: template }]);
  return entries;
}

/**
 * The bytes of the model, the same on every call.
 *
 * @param template chat template of the metadata; null omits it
 * @param endless whether special tokens get such a low score that answers end only at their token limit
 * @param controlTokens special tokens besides `<s>` and `</s>`
 */
export function tinyGguf(
  template: string | null = ZEPHYR_TEMPLATE,
  endless = false,
  controlTokens: readonly string[] = [],
): Buffer {
  const pieces = vocabulary(controlTokens);
  const made = tensors(pieces);
  const ends = [END_OF_TEXT, ...controlTokens.map((_, index) => pieces.length - 1 - index)];
  if (endless) for (const token of ends) suppressToken(made, token);
  const all = made.map(({ name, shape, data }) => ({
    name,
    shape,
    type: tensorType.f32,
    byteLength: data.byteLength,
    write: () => Buffer.from(data.buffer),
  }));
  return Buffer.concat([...ggufParts(metadata(pieces, template), all)]);
}

/** Sets the score of a token to 0, which is never among the forty highest scores. */
function suppressToken(all: readonly Tensor[], token: number): void {
  const output = all.find(({ name }) => name === "output.weight");
  output?.data.fill(0, token * WIDTH, (token + 1) * WIDTH);
}

/** Path of the tiny model, written under node_modules/.cache on first use. */
export function tinyModel(template: string | null = ZEPHYR_TEMPLATE): Promise<string> {
  return cached(tinyGguf(template));
}

/**
 * Path of a tiny model whose answers end only at their token limit.
 *
 * @param controlTokens special tokens besides `<s>` and `</s>`
 */
export function endlessModel(
  template: string | null = ZEPHYR_TEMPLATE,
  controlTokens: readonly string[] = [],
): Promise<string> {
  return cached(tinyGguf(template, true, controlTokens));
}

function cached(bytes: Buffer): Promise<string> {
  const hash = createHash("sha256").update(bytes).digest("hex").slice(0, 12);
  return cachedFile("tiny-gguf", `tiny-${hash}.gguf`, [bytes]);
}
