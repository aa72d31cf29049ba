const SAMPLES = 128;

interface Sample {
  readonly tokens: number;
  /** The model ended it; otherwise its limit or a cancel did, and it might have been longer. */
  readonly whole: boolean;
}

/** A stretch in which the share of answers that are still going on is constant. */
interface Stretch {
  readonly from: number;
  readonly share: number;
  /** Integral of the share up to `from`. */
  readonly area: number;
}

/**
 * How long answers get, learned from recent ones: the product-limit estimate of survival, so that answers cut by
 * their limit count for what they show. Lengths in tokens. Pure.
 */
export class AnswerLength {
  readonly #samples: Sample[] = [];
  #next = 0;
  #curve: readonly Stretch[] | undefined;

  get known(): boolean {
    return this.#samples.length > 0;
  }

  observe(tokens: number, whole: boolean): void {
    this.#samples[this.#next] = { tokens, whole };
    this.#next = (this.#next + 1) % SAMPLES;
    this.#curve = undefined;
  }

  /** Expected tokens that an answer of `generated` so far still gets, of at most `most` in all. */
  remaining(generated: number, most: number): number {
    if (most <= generated) return 0;
    this.#curve ??= this.#estimate();
    const share = this.#at(generated).share;
    // Longer than any that was seen: half of what it may still have is as good a guess as any.
    if (share <= 0) return (most - generated) / 2;
    return (this.#area(most) - this.#area(generated)) / share;
  }

  #estimate(): Stretch[] {
    const sorted = this.#samples.toSorted((a, b) => a.tokens - b.tokens);
    const curve: Stretch[] = [{ from: 0, share: 1, area: 0 }];
    let atRisk = sorted.length;
    for (let index = 0; index < sorted.length;) {
      const { tokens } = sorted[index] as Sample;
      let ended = 0;
      let left = 0;
      for (; index < sorted.length && sorted[index]?.tokens === tokens; index++) {
        left++;
        if (sorted[index]?.whole) ended++;
      }
      const last = curve.at(-1) as Stretch;
      if (ended > 0) {
        const area = last.area + (tokens - last.from) * last.share;
        curve.push({ from: tokens, share: last.share * (1 - ended / atRisk), area });
      }
      atRisk -= left;
    }
    return curve;
  }

  #at(tokens: number): Stretch {
    const curve = this.#curve as readonly Stretch[];
    let [low, high] = [0, curve.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((curve[middle] as Stretch).from <= tokens) low = middle;
      else high = middle - 1;
    }
    return curve[low] as Stretch;
  }

  #area(tokens: number): number {
    const { from, share, area } = this.#at(tokens);
    return area + (tokens - from) * share;
  }
}
