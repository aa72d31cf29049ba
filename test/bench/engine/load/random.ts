/** Numbers in [0, 1), the same for the same seed. */
export type Random = () => number;

export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Numbers of one of many in a run: the same whatever the others do. */
export function randomOf(seed: number, index: number): Random {
  return seededRandom(seed * 7919 + index);
}

/** A whole number from `least` to `most`. */
export function wholeBetween(random: Random, least: number, most: number): number {
  return least + Math.floor(random() * (most - least + 1));
}

/** Exponentially distributed around `mean`. */
export function exponential(random: Random, mean: number): number {
  return -Math.log(1 - random()) * mean;
}

/**
 * Times of `count` arrivals in milliseconds from now, `perSecond` on average, each independent of the others.
 *
 * @throws RangeError unless the rate is positive.
 */
export function poissonArrivals(random: Random, perSecond: number, count: number): number[] {
  if (!(perSecond > 0)) throw new RangeError(`${perSecond} arrivals a second never come`);
  const times: number[] = [];
  let at = 0;
  for (let index = 0; index < count; index++) {
    at += exponential(random, 1000 / perSecond);
    times.push(at);
  }
  return times;
}
