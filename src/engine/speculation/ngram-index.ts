/**
 * Tokens that must match before the text that follows is guessed. In an ordinary answer of 200 tokens, three match by
 * chance five times and four once or twice. With four, the first guess of a copy is only one token later than with
 * three.
 */
const LENGTH = 4;
/** Size of the hash table. When two n-grams share a bucket, the later one replaces the earlier one. */
const BUCKETS = 32_768;

/**
 * Finds the latest earlier occurrence of the last tokens of a text. Each token takes constant time, whatever the length
 * of the text. Memory is bounded by the text and a fixed table. Pure.
 */
export class NgramIndex {
  readonly #tokens: number[] = [];
  /** Position after the latest n-gram of each bucket; 0: none. */
  readonly #after = new Int32Array(BUCKETS);
  /** Position after the earlier n-gram that may equal the end of the text; 0: none. */
  #candidate = 0;

  /** Tokens in the index. */
  get length(): number {
    return this.#tokens.length;
  }

  clear(): void {
    this.#tokens.length = 0;
    this.#after.fill(0);
    this.#candidate = 0;
  }

  /** Appends tokens to the text. */
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
   * The tokens that followed the latest earlier occurrence of the end of the text. Returns at most `limit` tokens, and
   * no more than the length of the match, because a longer match is more likely to continue. Empty without an
   * occurrence.
   */
  continuation(limit: number): number[] {
    const tokens = this.#tokens;
    const candidate = this.#candidate;
    if (candidate === 0) return [];
    let matching = 0;
    while (matching < Math.max(limit, LENGTH) && matching < candidate) {
      if (tokens[candidate - 1 - matching] !== tokens[tokens.length - 1 - matching]) break;
      matching++;
    }
    return matching < LENGTH ? [] : tokens.slice(candidate, candidate + Math.min(matching, limit));
  }

  /** Bucket of the n-gram that ends before a position. */
  #bucketBefore(end: number): number {
    let hash = 0;
    for (let index = end - LENGTH; index < end; index++) {
      hash = Math.imul(hash ^ (this.#tokens[index] ?? 0), 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    return (hash >>> 0) % BUCKETS;
  }
}
