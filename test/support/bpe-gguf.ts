import { ggufParts, type GgufValue } from "./gguf-writer.ts";

/** Token types in GGUF. */
const NORMAL = 1;
const CONTROL = 3;

/** Tokens besides the 256 bytes; every beginning of them is a token too. `Ġ` is a space. */
const TOKENS = ["Ġthe", "Ġcat", "ing", "er", "aaaa", "ĠĠ", "!!", "Ċ"];

/**
 * A GGUF with the tokenizer of a byte-level BPE model and nothing else, to be loaded with `vocabOnly`.
 *
 * @param preTokenizer name of the regular expressions that split text before BPE: `tokenizer.ggml.pre`
 */
export function bpeGguf(preTokenizer: string): Buffer {
  const tokens = [...byteNames()];
  const merges: string[] = [];
  for (const token of TOKENS) {
    for (let end = 2; end <= token.length; end++) {
      const text = token.slice(0, end);
      if (tokens.includes(text)) continue;
      tokens.push(text);
      merges.push(`${token.slice(0, end - 1)} ${token.charAt(end - 1)}`);
    }
  }
  tokens.push("<|end|>");
  const end = tokens.length - 1;
  const metadata: [string, GgufValue][] = [
    ["general.architecture", { string: "llama" }],
    ["llama.context_length", { uint32: 4096 }],
    ["llama.embedding_length", { uint32: 64 }],
    ["llama.block_count", { uint32: 1 }],
    ["llama.feed_forward_length", { uint32: 160 }],
    ["llama.attention.head_count", { uint32: 4 }],
    ["llama.attention.layer_norm_rms_epsilon", { float32: 1e-5 }],
    ["llama.vocab_size", { uint32: tokens.length }],
    ["tokenizer.ggml.model", { string: "gpt2" }],
    ["tokenizer.ggml.pre", { string: preTokenizer }],
    ["tokenizer.ggml.tokens", { strings: tokens }],
    ["tokenizer.ggml.token_type", { ints: tokens.map((_, token) => (token === end ? CONTROL : NORMAL)) }],
    ["tokenizer.ggml.merges", { strings: merges }],
    ["tokenizer.ggml.bos_token_id", { uint32: end }],
    ["tokenizer.ggml.eos_token_id", { uint32: end }],
  ];
  return Buffer.concat([...ggufParts(metadata, [])]);
}

/** Names of the tokens of single bytes, as GPT-2 defines them. */
function* byteNames(): Generator<string> {
  let next = 0x100;
  for (let byte = 0; byte < 0x100; byte++) {
    const printable =
      (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte < 0xad) || (byte > 0xad && byte <= 0xff);
    yield String.fromCharCode(printable ? byte : next++);
  }
}
