import { closeTail } from "./close-tail.ts";
import type { TreeElement } from "./markdown-tree.ts";
import { linesOf, parseBlocks } from "./parse-markdown.ts";

/** The blocks of a growing text. */
export interface GrownBlocks {
  readonly blocks: readonly TreeElement[];
  /** Number of blocks at the beginning that are the same as after the previous update. */
  readonly unchanged: number;
}

/**
 * Parses a text repeatedly while it grows. Blocks that further text cannot change are parsed once. Only the text after
 * them is parsed again.
 */
export class GrowingMarkdown {
  readonly #parse: typeof parseBlocks;
  /** The text of the final blocks. It ends with a line break. */
  #finalText = "";
  #finalBlocks = 0;
  #blocks: TreeElement[] = [];

  constructor(parse: typeof parseBlocks = parseBlocks) {
    this.#parse = parse;
  }

  /**
   * Returns the blocks of `text`. A text that does not continue the previous one is parsed from its beginning.
   *
   * @param isWhole - Whether the text is complete. Otherwise unfinished markup is shown as if it were closed.
   */
  update(text: string, isWhole: boolean): GrownBlocks {
    if (!text.startsWith(this.#finalText)) this.#reset();
    const unchanged = this.#finalBlocks;
    const tail = text.slice(this.#finalText.length);
    const lines = linesOf(isWhole ? tail : closeTail(tail));
    const starts: number[] = [];
    const parsed = this.#parse(lines, 0, starts);
    this.#blocks.length = unchanged;
    for (const block of parsed) this.#blocks.push(block);
    this.#keepFinal(text, starts, lines.length - 1);
    return { blocks: this.#blocks, unchanged };
  }

  #reset(): void {
    this.#finalText = "";
    this.#finalBlocks = 0;
  }

  /** A block is final once the block after it begins with a whole line. Only the last line may still change. */
  #keepFinal(text: string, starts: readonly number[], lastLine: number): void {
    const begun = starts.filter((line) => line < lastLine).length;
    if (begun < 2) return;
    const firstLine = starts[begun - 1] as number;
    let end = this.#finalText.length;
    for (let line = 0; line < firstLine; line++) end = text.indexOf("\n", end) + 1;
    this.#finalText = text.slice(0, end);
    this.#finalBlocks += begun - 1;
  }
}
