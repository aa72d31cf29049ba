/** Weight of one observation: an estimate follows a change of load in about ten steps, but hardly a single outlier. */
export const WEIGHT = 0.15;

/** Cap of an observation, as a multiple of the expected time: a longer time is a hiccup of the machine. */
export const OUTLIER = 4;
