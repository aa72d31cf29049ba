import { setMaxListeners } from "node:events";
import type { Answer, ChatTarget, Turn } from "../chat-target.ts";
import type { Random } from "./random.ts";
import { message } from "./texts.ts";

export interface Talk {
  readonly user: string;
  readonly conversation: string;
  /** Words of each message. */
  readonly words: number;
  /** Most tokens of each answer. */
  readonly tokens: number;
  readonly random: Random;
  readonly signal?: AbortSignal;
}

/** One message of a new conversation, and its answer. */
export async function askOnce(target: ChatTarget, talk: Talk): Promise<Answer> {
  return new Conversation(target, talk).say();
}

/** Turns of one user, each with all that was said before. */
export class Conversation {
  readonly #target: ChatTarget;
  readonly #talk: Talk;
  readonly #turns: Turn[] = [];

  constructor(target: ChatTarget, talk: Talk) {
    this.#target = target;
    this.#talk = talk;
  }

  async say(): Promise<Answer> {
    const { user, conversation, random, words, tokens, signal } = this.#talk;
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

/** `turns` turns of one conversation; `pauseMs` lies between an answer and the next message. */
export async function converse(
  target: ChatTarget,
  talk: Talk,
  turns: number,
  pauseMs: () => number = () => 0,
): Promise<Answer[]> {
  const conversation = new Conversation(target, talk);
  const answers: Answer[] = [];
  for (let turn = 0; turn < turns; turn++) {
    if (turn > 0) await sleep(pauseMs());
    answers.push(await conversation.say());
  }
  return answers;
}

/** Asks in a new conversation each time until `signal` aborts, which cancels the answer on its way. */
export async function keepAsking(
  target: ChatTarget,
  talk: Talk & { readonly signal: AbortSignal },
): Promise<Answer[]> {
  // As many listen as there are chats, which is no leak.
  setMaxListeners(0, talk.signal);
  const answers: Answer[] = [];
  for (let number = 1; !talk.signal.aborted; number++) {
    answers.push(await askOnce(target, { ...talk, conversation: `${talk.conversation}-${number}` }));
  }
  return answers;
}

/** Lets a load go on for `ms`; ends early with its fault. */
export async function during(load: Promise<unknown>, ms: number): Promise<void> {
  await Promise.race([load, sleep(ms)]);
}

/** Names of users, the same for the same run. */
export function userNames(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}-${index + 1}`);
}

export function sleep(ms: number): Promise<void> {
  return ms > 0 ? new Promise((resolve) => setTimeout(resolve, ms)) : Promise.resolve();
}
