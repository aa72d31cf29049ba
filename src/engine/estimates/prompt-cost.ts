import { OUTLIER, WEIGHT } from "./observation.ts";

/** Weight of one observation in the slope over depth: the slope is learned over several chat turns in all slots. */
const SLOPE_WEIGHT = 0.02;
/** Below this standard deviation of depths, in tokens, differences in cost cannot be attributed to depth. */
const MIN_DEPTH_SPREAD = 64;
/** Number of chunks that must be observed before a line is used. */
const MIN_SEEN = 4;
/** Shortest chunk, in tokens, that is learned from: with fewer tokens a step takes about as long as with this many. */
const MIN_INFORMATIVE_WEIGHT = 16;
/** Lower bound of a line, as a share of its mean cost. */
const MIN_SHARE = 0.25;

/** Part of a prompt that a step processes. */
export interface PromptPart {
  /** Number of tokens, including the one that draws if it is among them; ≥ 1. */
  readonly tokens: number;
  /** Tokens before them. */
  readonly depth: number;
}

/**
 * Cost of one prompt token, in milliseconds, as a line in its depth: the number of tokens before it, to which it
 * attends. The level follows the latest prompts. The slope is learned from many more, since the latest ones are often
 * equally deep.
 */
class DepthLine {
  #ms: number;
  #depth = 0;
  #slope = 0;
  #seen = 0;
  /** Means over many prompts; the first guess counts as one prompt at depth 0. */
  readonly #many: { ms: number; depth: number; square: number; product: number };

  constructor(firstMs: number) {
    this.#ms = firstMs;
    this.#many = { ms: firstMs, depth: 0, square: 0, product: 0 };
  }

  get known(): boolean {
    return this.#seen >= MIN_SEEN;
  }

  at(depth: number): number {
    return Math.max(this.#ms + this.#slope * (depth - this.#depth), this.#ms * MIN_SHARE);
  }

  /** Learns from `chunks` chunks that cost `ms` per token, at this depth on average. */
  observe(ms: number, depth: number, chunks: number): void {
    this.#seen += chunks;
    this.#ms += WEIGHT * (ms - this.#ms);
    this.#depth += WEIGHT * (depth - this.#depth);
    const many = this.#many;
    const weight = Math.max(SLOPE_WEIGHT, 1 / (this.#seen + 1));
    many.ms += weight * (ms - many.ms);
    many.depth += weight * (depth - many.depth);
    many.square += weight * (depth ** 2 - many.square);
    many.product += weight * (depth * ms - many.product);
    const variance = many.square - many.depth ** 2;
    if (variance < MIN_DEPTH_SPREAD ** 2) return;
    this.#slope = Math.max(0, (many.product - many.depth * many.ms) / variance);
  }
}

/**
 * Learns how many milliseconds prompt tokens add to a step. One line in depth is for chunks that fill a tile of the
 * attention kernel, the other for shorter ones, whose tokens can cost twice as much.
 */
export class PromptCost {
  readonly #short: DepthLine;
  readonly #tiled: DepthLine;
  readonly #tileTokens: number;
  #meanMs: number;

  /**
   * @param firstMs first guess of the cost per token, in milliseconds
   * @param tileTokens shortest chunk that fills a tile, in tokens; 1: length makes no difference
   */
  constructor(firstMs: number, tileTokens: number) {
    this.#meanMs = Math.max(firstMs, 1e-4);
    this.#short = new DepthLine(this.#meanMs);
    this.#tiled = new DepthLine(this.#meanMs);
    this.#tileTokens = tileTokens;
  }

  /** Mean milliseconds per token of the latest prompts. */
  get tokenMs(): number {
    return this.#meanMs;
  }

  /** Milliseconds of each token of a part. */
  tokenMsOf({ tokens, depth }: PromptPart): number {
    const line = this.#line(tokens);
    return line.known ? line.at(depth + tokens / 2) : this.#meanMs;
  }

  /** Milliseconds of all parts of a step together. */
  msOf(parts: readonly PromptPart[]): number {
    return parts.reduce((sum, part) => sum + part.tokens * this.tokenMsOf(part), 0);
  }

  /** Learns from a step whose parts took `ms` together. */
  observe(ms: number, parts: readonly PromptPart[]): void {
    const ratio = Math.min(Math.max(ms / this.msOf(parts), 1 / OUTLIER), OUTLIER);
    const observed = parts.map((part) => ({
      weight: part.tokens,
      ms: this.tokenMsOf(part) * ratio,
      depth: part.depth + part.tokens / 2,
    }));
    const informative = observed.filter(({ weight }) => weight >= MIN_INFORMATIVE_WEIGHT);
    if (informative.length > 0) this.#meanMs += WEIGHT * (mean(informative, "ms") - this.#meanMs);
    for (const line of [this.#short, this.#tiled]) {
      const own = informative.filter(({ weight }) => this.#line(weight) === line);
      // A long chunk counts as several short ones.
      const chunks = own.reduce((sum, { weight }) => sum + Math.ceil(weight / this.#tileTokens), 0);
      if (chunks > 0) line.observe(mean(own, "ms"), mean(own, "depth"), chunks);
    }
  }

  #line(tokens: number): DepthLine {
    return tokens >= this.#tileTokens ? this.#tiled : this.#short;
  }
}

interface Observed {
  readonly weight: number;
  readonly ms: number;
  readonly depth: number;
}

function mean(observed: readonly Observed[], of: "ms" | "depth"): number {
  const weight = observed.reduce((sum, each) => sum + each.weight, 0);
  return observed.reduce((sum, each) => sum + each.weight * each[of], 0) / weight;
}
