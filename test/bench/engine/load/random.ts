/** Returns numbers in [0, 1). The same seed gives the same sequence. */
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

/** The generator of one user in a run, independent of how many numbers the other users draw. */
export function randomOf(seed: number, index: number): Random {
  return seededRandom(seed * 7919 + index);
}

/** A whole number from `min` to `max`, both included. */
export function wholeBetween(random: Random, min: number, max: number): number {
  return min + Math.floor(random() * (max - min + 1));
}

/** An exponentially distributed number with the given mean. */
export function exponential(random: Random, mean: number): number {
  return -Math.log(1 - random()) * mean;
}

/**
 * Times of `count` arrivals in milliseconds from now, `perSecond` on average, each independent of the others.
 *
 * @throws RangeError if the rate is not positive.
 */
export function poissonArrivals(random: Random, perSecond: number, count: number): number[] {
  if (!(perSecond > 0))
    throw new RangeError(`the arrival rate must be positive, not ${perSecond} per second`);
  const times: number[] = [];
  let at = 0;
  for (let index = 0; index < count; index++) {
    at += exponential(random, 1000 / perSecond);
    times.push(at);
  }
  return times;
}
