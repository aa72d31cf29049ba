/** Number of recent answers that are kept. */
const SAMPLES = 128;

interface Sample {
  readonly tokens: number;
  /** Whether the model ended the answer. Otherwise its limit or a cancel did, and it might have become longer. */
  readonly whole: boolean;
}

/** A range of lengths in which the share of answers that are still running is constant. */
interface Stretch {
  readonly from: number;
  /** Share of answers that run beyond `from`, 0..1. */
  readonly share: number;
  /** Integral of the share from 0 to `from`, in tokens. */
  readonly area: number;
}

/**
 * Estimates the length of answers from recent ones by the product-limit (Kaplan–Meier) estimator, which counts an
 * answer that was cut off as one of at least that length. Lengths are in tokens. No I/O.
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

  /** Expected number of further tokens of an answer that has `generated` so far and at most `max` in total. */
  remaining(generated: number, max: number): number {
    if (max <= generated) return 0;
    this.#curve ??= this.#estimate();
    const share = this.#at(generated).share;
    // No recent answer was this long. Half of what the limit allows is as good a guess as any.
    if (share <= 0) return (max - generated) / 2;
    return (this.#area(max) - this.#area(generated)) / share;
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
