/** Texts that begin and end a reasoning block, as models and their templates write them. */
const TAGS: readonly (readonly [begin: string, end: string])[] = [
  ["<think>", "</think>"],
  ["<thinking>", "</thinking>"],
  ["<thought>", "</thought>"],
  ["<reasoning>", "</reasoning>"],
  ["<seed:think>", "</seed:think>"],
  ["[THINK]", "[/THINK]"],
  ["◁think▷", "◁/think▷"],
  ["<|START_THINKING|>", "<|END_THINKING|>"],
  ["<|begin_of_thought|>", "<|end_of_thought|>"],
  ["<|channel|>analysis<|message|>", "<|end|>"],
];

/** Text that ends the reasoning block which a text leaves open; empty if it leaves none open. */
export function openReasoningEnd(text: string): string {
  const open = TAGS.find(([begin, end]) => text.lastIndexOf(begin) > text.lastIndexOf(end));
  return open?.[1] ?? "";
}
