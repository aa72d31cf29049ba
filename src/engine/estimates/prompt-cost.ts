import { OUTLIER, WEIGHT } from "./observation.ts";

// Weight of one observation in how much depth adds: as many steps as several turns of all slots take.
const SLOPE_WEIGHT = 0.02;
// Below this spread of depths, in tokens, a difference of cost says nothing about depth.
const MIN_DEPTH_SPREAD = 64;
// A line is followed from so many chunks on.
const MIN_SEEN = 4;
// Of fewer tokens a step takes about as long as of these: what each costs says nothing about others.
const MIN_INFORMATIVE_WEIGHT = 16;
// Of the mean cost: no line is followed below this.
const MIN_SHARE = 0.25;

/** Part of a prompt that a step processes. */
export interface PromptPart {
  /** ≥ 1, with the token that draws if it is among them. */
  readonly tokens: number;
  /** Tokens before them. */
  readonly depth: number;
}

/**
 * What one prompt token costs, in milliseconds, as a line in its depth: the tokens before it, to which it attends. The level
 * follows the latest prompts; the slope comes from many more, since the latest ones are often equally deep.
 */
class DepthLine {
  #ms: number;
  #depth = 0;
  #slope = 0;
  #seen = 0;
  /** Over many prompts; the first guess counts as one at depth 0. */
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

  /** So many chunks cost `ms` a token, at this depth on average. */
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
 * Learns what prompt tokens add to a step, in milliseconds: one line in depth for chunks that fill a tile of the
 * attention kernel, one for shorter ones, whose tokens can cost twice as much.
 */
export class PromptCost {
  readonly #short: DepthLine;
  readonly #tiled: DepthLine;
  readonly #tileTokens: number;
  #meanMs: number;

  /**
   * @param firstMs the first guess of a token's cost
   * @param tileTokens from so many tokens on a chunk fills a tile; 1: length makes no difference
   */
  constructor(firstMs: number, tileTokens: number) {
    this.#meanMs = Math.max(firstMs, 1e-4);
    this.#short = new DepthLine(this.#meanMs);
    this.#tiled = new DepthLine(this.#meanMs);
    this.#tileTokens = tileTokens;
  }

  /** A token of the latest prompts. */
  get tokenMs(): number {
    return this.#meanMs;
  }

  /** Each token of a part. */
  tokenMsOf({ tokens, depth }: PromptPart): number {
    const line = this.#line(tokens);
    return line.known ? line.at(depth + tokens / 2) : this.#meanMs;
  }

  /** All parts of a step together. */
  msOf(parts: readonly PromptPart[]): number {
    return parts.reduce((sum, part) => sum + part.tokens * this.tokenMsOf(part), 0);
  }

  /** All parts of one step together took `ms`. */
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
      // A long chunk tells as much as several short ones.
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
