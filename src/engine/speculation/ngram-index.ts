// Tokens that must be the same before what follows is a guess. Three are the same by chance five times in an ordinary
// answer of 200 tokens, four once or twice; a copy has them a token later.
const LENGTH = 4;
// Places for n-grams; of two that share a place the later one stays.
const BUCKETS = 32_768;

/**
 * Finds where the latest tokens of a text stood before. Each token costs the same few operations however long the text
 * is; the memory is bounded by the text and a fixed table. Pure.
 */
export class NgramIndex {
  readonly #tokens: number[] = [];
  /** The position after the latest n-gram of a bucket; 0: none. */
  readonly #after = new Int32Array(BUCKETS);
  /** The position after the place that may equal the end of the text; 0: none. */
  #candidate = 0;

  get length(): number {
    return this.#tokens.length;
  }

  clear(): void {
    this.#tokens.length = 0;
    this.#after.fill(0);
    this.#candidate = 0;
  }

  push(tokens: readonly number[]): void {
    for (const token of tokens) {
      const end = this.#tokens.push(token);
      if (end < LENGTH) continue;
      const bucket = this.#bucketBefore(end);
      this.#candidate = this.#after[bucket] ?? 0;
      this.#after[bucket] = end;
    }
  }

  /**
   * What followed the latest earlier place that ends like the text does: at most `most` tokens, and no more than are
   * the same before it, for a long match is likely to go on. Empty where there is no such place.
   */
  continuation(most: number): number[] {
    const tokens = this.#tokens;
    const candidate = this.#candidate;
    if (candidate === 0) return [];
    let same = 0;
    while (same < Math.max(most, LENGTH) && same < candidate) {
      if (tokens[candidate - 1 - same] !== tokens[tokens.length - 1 - same]) break;
      same++;
    }
    return same < LENGTH ? [] : tokens.slice(candidate, candidate + Math.min(same, most));
  }

  /** Of the n-gram that ends before a position. */
  #bucketBefore(end: number): number {
    let hash = 0;
    for (let index = end - LENGTH; index < end; index++) {
      hash = Math.imul(hash ^ (this.#tokens[index] ?? 0), 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    return (hash >>> 0) % BUCKETS;
  }
}
