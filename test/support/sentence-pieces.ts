/** Token types of a SentencePiece vocabulary, with their numbers in GGUF. */
export const pieceType = { unknown: 2, control: 3, normal: 1, byte: 6 } as const;

/** A token of the vocabulary. Tokens with a higher score are merged first. */
export interface Piece {
  readonly text: string;
  readonly score: number;
  readonly type: number;
}

/** Name of the token for a single byte: `<0x0A>`. */
export function byteName(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
}
