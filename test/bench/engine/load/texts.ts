import { COMMON_WORDS } from "../../../support/random-gguf.ts";
import { wholeBetween, type Random } from "./random.ts";

/** Asks for more than any answer of the bench may have, so that answers end at their limit. */
const WISH = "Write a very long story about this.";
const WISH_WORDS = WISH.split(" ").length;

/** `count` random words, about one token each. */
export function words(random: Random, count: number): string {
  return Array.from(
    { length: count },
    () => COMMON_WORDS[wholeBetween(random, 0, COMMON_WORDS.length - 1)],
  ).join(" ");
}

/** A message of `count` words that begins like no other, so that no server can reuse another's work for it. */
export function message(random: Random, count: number): string {
  return `${words(random, Math.max(1, count - WISH_WORDS))}. ${WISH}`;
}

/** A system text of `count` words. */
export function systemText(count: number): string {
  // Always the same: a server is started with it.
  let state = count;
  return words(() => (state = (state * 16_807) % 2_147_483_647) / 2_147_483_647, count);
}
