/** Tokens of a text by the rule of thumb where no tokenizer is at hand: UTF-8 bytes / 3, rounded up. */
export function estimateTokens(text: string): number {
  return Math.ceil(Buffer.byteLength(text, "utf8") / 3);
}
