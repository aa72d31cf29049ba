import type { LlamaText } from "node-llama-cpp";
import type { Turn } from "../../../core/fit-prompt.ts";

/** What a prompt is made of. */
export interface PromptParts {
  /** System text and context as one message; may be empty. */
  readonly system: string;
  /** Oldest first; the last one is a user's. */
  readonly turns: readonly Turn[];
  /** Text that the answer begins with; may be empty. */
  readonly answerStart: string;
  /** Whether the answer begins outside of a reasoning block, even if the template opens one. */
  readonly skipReasoning: boolean;
}

/** The form of a model's prompts. */
export interface PromptTemplate {
  /** Name for people, such as `ChatML`. */
  readonly name: string;
  /** What a template writes after an answer, each with the beginning of the next turn. Each of them ends an answer. */
  readonly ends: readonly LlamaText[];
  /** What it writes after the last text of a prompt, where it may open the reasoning: `<|assistant|>\n<think>\n`. */
  readonly promptEnd: string;
  /** A prompt up to the place where the answer goes on. Texts of turns are plain strings in it. */
  render(parts: PromptParts): LlamaText;
}

/** Parts of a prompt with these turns and no begun answer. */
export function promptOf(system: string, turns: readonly Turn[]): PromptParts {
  return { system, turns, answerStart: "", skipReasoning: false };
}
