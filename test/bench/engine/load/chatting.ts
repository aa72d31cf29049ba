import { setMaxListeners } from "node:events";
import type { Answer, ChatTarget, Turn } from "../chat-target.ts";
import type { Random } from "./random.ts";
import { message } from "./texts.ts";

export interface ChatLoad {
  readonly user: string;
  readonly conversation: string;
  /** Words per message. */
  readonly words: number;
  /** Maximum number of tokens per answer. */
  readonly tokens: number;
  readonly random: Random;
  readonly signal?: AbortSignal;
}

/** Sends one message in a new conversation and returns its answer. */
export async function askOnce(target: ChatTarget, load: ChatLoad): Promise<Answer> {
  return new Conversation(target, load).send();
}

/** A conversation of one user. Each request carries all earlier turns. */
export class Conversation {
  readonly #target: ChatTarget;
  readonly #load: ChatLoad;
  readonly #turns: Turn[] = [];

  constructor(target: ChatTarget, load: ChatLoad) {
    this.#target = target;
    this.#load = load;
  }

  async send(): Promise<Answer> {
    const { user, conversation, random, words, tokens, signal } = this.#load;
    this.#turns.push({ role: "user", content: message(random, words) });
    const answer = await this.#target.chat({
      user,
      conversation,
      turns: [...this.#turns],
      maxTokens: tokens,
      ...(signal && { signal }),
    });
    this.#turns.push({ role: "assistant", content: answer.text });
    return answer;
  }
}

/** Runs `turns` turns of one conversation, with a pause of `pauseMs()` between an answer and the next message. */
export async function converse(
  target: ChatTarget,
  load: ChatLoad,
  turns: number,
  pauseMs: () => number = () => 0,
): Promise<Answer[]> {
  const conversation = new Conversation(target, load);
  const answers: Answer[] = [];
  for (let turn = 0; turn < turns; turn++) {
    if (turn > 0) await sleep(pauseMs());
    answers.push(await conversation.send());
  }
  return answers;
}

/** Sends messages, each in a new conversation, until `signal` aborts. The abort also cancels the running answer. */
export async function keepAsking(
  target: ChatTarget,
  load: ChatLoad & { readonly signal: AbortSignal },
): Promise<Answer[]> {
  // One listener per chat is expected here and is not a leak.
  setMaxListeners(0, load.signal);
  const answers: Answer[] = [];
  for (let number = 1; !load.signal.aborted; number++) {
    answers.push(await askOnce(target, { ...load, conversation: `${load.conversation}-${number}` }));
  }
  return answers;
}

/** Waits `ms` milliseconds while a load runs. Rejects early if the load fails. */
export async function during(load: Promise<unknown>, ms: number): Promise<void> {
  await Promise.race([load, sleep(ms)]);
}

/** Names of `count` users: `prefix-1`, `prefix-2`, … */
export function userNames(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}-${index + 1}`);
}

export function sleep(ms: number): Promise<void> {
  return ms > 0 ? new Promise((resolve) => setTimeout(resolve, ms)) : Promise.resolve();
}
