/** Weight of one observation in what is learned: a change of load shows within about ten steps, one hiccup hardly. */
export const WEIGHT = 0.15;

/** What took this many times the expected time is a hiccup of the machine and counts as this many. */
export const OUTLIER = 4;
