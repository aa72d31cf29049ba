import { COMMON_WORDS } from "../../../support/random-gguf.ts";
import { wholeBetween, type Random } from "./random.ts";

/** Asks for more text than any answer of the bench may have, so that answers end at their token limit. */
const STORY_REQUEST = "Write a very long story about this.";
const STORY_REQUEST_WORDS = STORY_REQUEST.split(" ").length;

/** `count` random words of about one token each. */
export function words(random: Random, count: number): string {
  return Array.from(
    { length: count },
    () => COMMON_WORDS[wholeBetween(random, 0, COMMON_WORDS.length - 1)],
  ).join(" ");
}

/** A message of `count` words with a unique beginning, so that no server can reuse the prefill of another message. */
export function message(random: Random, count: number): string {
  return `${words(random, Math.max(1, count - STORY_REQUEST_WORDS))}. ${STORY_REQUEST}`;
}

/** A system text of `count` words, always the same one. */
export function systemText(count: number): string {
  // Not seeded by the run: the server is started with this text before a run begins.
  let state = count;
  return words(() => (state = (state * 16_807) % 2_147_483_647) / 2_147_483_647, count);
}
