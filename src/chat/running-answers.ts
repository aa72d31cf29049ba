import type { RunningAnswer } from "./running-answer.ts";

/** All running and waiting answers, by client. */
export class RunningAnswers {
  readonly #byClient = new Map<string, readonly RunningAnswer[]>();
  #count = 0;
  #idle: (() => void)[] = [];

  get count(): number {
    return this.#count;
  }

  /** Answers of one client, oldest first. */
  of(client: string): Iterable<RunningAnswer> {
    return this.#byClient.get(client) ?? [];
  }

  *all(): Generator<RunningAnswer> {
    for (const answers of this.#byClient.values()) yield* answers;
  }

  find(client: string, answer: string): RunningAnswer | undefined {
    for (const running of this.of(client)) if (running.reader.meta.answer === answer) return running;
    return undefined;
  }

  add(running: RunningAnswer): void {
    const { client } = running.submission.owner;
    this.#byClient.set(client, [...(this.#byClient.get(client) ?? []), running]);
    this.#count++;
  }

  delete(running: RunningAnswer): void {
    const { client } = running.submission.owner;
    const others = (this.#byClient.get(client) ?? []).filter((it) => it !== running);
    if (others.length === 0) this.#byClient.delete(client);
    else this.#byClient.set(client, others);
    this.#count--;
    if (this.#count === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** Resolves once no answer runs or waits. */
  whenNone(): Promise<void> {
    if (this.#count === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }
}
