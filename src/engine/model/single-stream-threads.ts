import type { EngineSequence } from "../ports.ts";

/** Sets the number of threads, from the next step on. */
export type UseThreads = (threads: number) => void;

/** Measured steps of each variant. */
const STEPS = 6;

/**
 * Speed-up that all threads must give over one thread. Threads spin while they wait for each other: when another
 * process, such as the gateway that sends the token, takes one of their cores for a moment, all of them wait 40 ms or
 * more.
 */
const MIN_SPEED_UP = 1.4;

/**
 * Measures whether a single sequence generates faster on one thread than on all. A step of one token is so short that
 * starting the other threads and waiting for them can cost more time than they save.
 *
 * @returns the number of threads for a step of one sequence.
 */
export async function singleStreamThreads(
  sequence: EngineSequence,
  firstToken: number,
  threads: number,
  use: UseThreads,
): Promise<number> {
  if (threads === 1) return 1;
  const best = { one: Number.POSITIVE_INFINITY, all: Number.POSITIVE_INFINITY };
  // The variants alternate, so that a short load on the machine does not distort the result.
  for (let step = 0; step < STEPS * 2; step++) {
    const which = step % 2 === 0 ? "one" : "all";
    use(which === "one" ? 1 : threads);
    const from = performance.now();
    await sequence.prefill([firstToken]);
    best[which] = Math.min(best[which], performance.now() - from);
  }
  use(threads);
  return best.one < best.all * MIN_SPEED_UP ? 1 : threads;
}
