/** Kinds of token in a SentencePiece vocabulary, as GGUF numbers them. */
export const pieceType = { unknown: 2, control: 3, normal: 1, byte: 6 } as const;

/** A token of the vocabulary. A higher score is merged first. */
export interface Piece {
  readonly text: string;
  readonly score: number;
  readonly type: number;
}

/** The name of the token that stands for one byte. */
export function byteName(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
}
