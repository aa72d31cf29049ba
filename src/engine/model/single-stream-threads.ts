import type { EngineSequence } from "../ports.ts";

/** How many threads steps of the model use; takes effect with the next step. */
export type UseThreads = (threads: number) => void;

const STEPS = 6;

/**
 * All threads must be this much faster to be used. Threads wait for each other actively: when another process takes one
 * of their cores for a moment (the gateway that sends the token), all of them wait for it, 40 ms and more.
 */
const CLEARLY = 1.4;

/**
 * Measures whether a single sequence generates faster on one thread than on all: a step of one token is so short that
 * starting and waiting for the others can cost more than they bring.
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
  // In turns, so that a busy moment of the machine does not decide.
  for (let step = 0; step < STEPS * 2; step++) {
    const which = step % 2 === 0 ? "one" : "all";
    use(which === "one" ? 1 : threads);
    const from = performance.now();
    await sequence.prefill([firstToken]);
    best[which] = Math.min(best[which], performance.now() - from);
  }
  use(threads);
  return best.one < best.all * CLEARLY ? 1 : threads;
}
