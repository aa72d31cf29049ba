import type { RequestEvents } from "../../src/engine-wire/requests.ts";
import { setImmediate as turn } from "node:timers/promises";
import type { Drawn, EngineSequence, GenerateOptions, PreparedRequest } from "../../src/engine/ports.ts";

/** First token of an answer; greater than any prompt token. */
export const FIRST_ANSWER_TOKEN = 1_000_000_000;

/** One native batch: ids in the order of the calls, with the number of prompt tokens before the one that draws. */
export interface Batch {
  readonly items: { readonly id: number; readonly tokens: number }[];
}

/**
 * A native context for tests of the loop. The calls of one turn of the event loop form a batch, and a fault of one item
 * rejects the whole batch, as in the real context. The tokens of an answer count up from {@link FIRST_ANSWER_TOKEN}.
 */
export class FakeContext {
  readonly batches: Batch[] = [];
  /** Tokens that make their batch fail. */
  readonly poison = new Set<number>();
  /** Tokens of the saved states, by path. */
  readonly files = new Map<string, readonly number[]>();
  /** Saves and loads in their order, with the number of tokens: `save 150`. */
  readonly moves: string[] = [];
  /**
   * Whether each call is a batch of its own, one after the other, like prompts of different lengths in the real
   * context.
   */
  separateBatches = false;
  /** Called when a batch is done, before its promises settle. */
  onBatch: () => void = () => {};
  /** Called while a state of this many tokens is saved or loaded. */
  onMove: (tokens: number) => void = () => {};
  #items: {
    id: number;
    tokens: readonly number[];
    draws: boolean;
    settle: (error?: Error) => void;
  }[] = [];

  /** The token that the model draws after `last`. */
  tokenAfter: (last: number) => number = (last) =>
    last >= FIRST_ANSWER_TOKEN ? last + 1 : FIRST_ANSWER_TOKEN;

  sequence(id: number): FakeSequence {
    return new FakeSequence(id, this);
  }

  run(id: number, tokens: readonly number[], draws: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#items.length === 0) setImmediate(() => this.#dispatch());
      const settle = (error?: Error): void => (error ? reject(error) : resolve());
      this.#items.push({ id, tokens, draws, settle });
    });
  }

  #dispatch(): void {
    const items = this.separateBatches ? this.#items.splice(0, 1) : this.#items.splice(0);
    if (this.#items.length > 0) setImmediate(() => this.#dispatch());
    this.batches.push({
      items: items.map(({ id, tokens, draws }) => ({ id, tokens: tokens.length - (draws ? 1 : 0) })),
    });
    this.onBatch();
    const failed = items.some(({ tokens }) => tokens.some((token) => this.poison.has(token)));
    for (const item of items) item.settle(failed ? new Error("Eval has failed") : undefined);
  }
}

export class FakeSequence implements EngineSequence {
  readonly id: number;
  readonly seeds: number[] = [];
  kv: number[] = [];
  readonly #context: FakeContext;

  constructor(id: number, context: FakeContext) {
    this.id = id;
    this.#context = context;
  }

  get length(): number {
    return this.kv.length;
  }

  tokens(): readonly number[] {
    return [...this.kv];
  }

  commonPrefix(tokens: readonly number[]): number {
    let length = 0;
    while (length < this.kv.length && this.kv[length] === tokens[length]) length++;
    return length;
  }

  truncate(count: number): Promise<void> {
    this.kv.length = Math.min(this.kv.length, count);
    return Promise.resolve();
  }

  async save(path: string): Promise<number> {
    this.#context.moves.push(`save ${this.kv.length}`);
    this.#context.onMove(this.kv.length);
    this.#context.files.set(path, [...this.kv]);
    return Promise.resolve(this.kv.length * 100);
  }

  async load(path: string): Promise<void> {
    const tokens = this.#context.files.get(path);
    this.kv = [];
    if (!tokens) throw new Error("no such file");
    this.#context.moves.push(`load ${tokens.length}`);
    this.#context.onMove(tokens.length);
    this.kv = [...tokens];
    return Promise.resolve();
  }

  async prefill(tokens: readonly number[]): Promise<void> {
    await this.#context.run(this.id, tokens, false);
    this.kv.push(...tokens);
  }

  /** Compares guesses with the answer that {@link generate} would draw. */
  async verify(
    tokens: readonly number[],
    guesses: readonly number[],
    options: GenerateOptions,
  ): Promise<Drawn> {
    this.seeds.push(options.sampling.seed);
    await this.#context.run(this.id, [...tokens, ...guesses], true);
    this.kv.push(...tokens);
    const drawn: number[] = [];
    for (const guess of [...guesses, undefined]) {
      drawn.push(this.#context.tokenAfter(this.kv.at(-1) ?? 0));
      if (guess === undefined || guess !== drawn.at(-1)) break;
      this.kv.push(guess);
    }
    return { tokens: drawn, ended: false };
  }

  async *generate(
    tokens: readonly number[],
    options: GenerateOptions,
  ): AsyncGenerator<number, void, number | undefined> {
    this.seeds.push(options.sampling.seed);
    for (let next = tokens; ;) {
      await this.#context.run(this.id, next, true);
      this.kv.push(...next);
      const token = this.#context.tokenAfter(next.at(-1) ?? 0);
      next = [(yield token) ?? token];
    }
  }
}

let conversations = 0;

/** A request of `length` prompt tokens, all but the first different from those of other requests. */
export function preparedRequest(length: number, changes: Partial<PreparedRequest> = {}): PreparedRequest {
  const conversation = `conversation ${++conversations}`;
  return {
    tokens: Array.from({ length }, (_, index) =>
      index === 0 ? 1 : conversations * 10_000 + 500_000 + index,
    ),
    sharedTokens: 1,
    sharedKey: "shared",
    droppedTurns: 0,
    maxTokens: 5,
    sampling: { temperature: 0, topP: 1, topK: 40, minP: 0, repeatPenalty: 1, seed: 7, reproducible: false },
    stop: [],
    stopTokens: new Set(),
    trimEnd: false,
    client: "anon:a",
    conversation,
    accountKey: "addr:a",
    background: false,
    weight: 1,
    ...changes,
  };
}

/** Records the events of a request as readable lines. */
export function recordedEvents(): RequestEvents & {
  readonly lines: string[];
  readonly text: () => string;
  /** As reported at the end; undefined if there were none. */
  readonly reasoningTokens: () => number | undefined;
} {
  const lines: string[] = [];
  let text = "";
  let reasoningTokens: number | undefined;
  return {
    lines,
    text: () => text,
    reasoningTokens: () => reasoningTokens,
    queued: (position) => lines.push(`queued ${position}`),
    started: (prompt, cached, dropped) => lines.push(`started ${prompt} ${cached} ${dropped}`),
    progress: (processed, total) => lines.push(`progress ${processed}/${total}`),
    reasoning: (piece, tokens) => lines.push(`reasoning ${piece} ${tokens}`),
    delta: (piece, tokens) => {
      text += piece;
      lines.push(`delta ${piece} ${tokens}`);
    },
    finished: (reason, usage) => {
      reasoningTokens = usage.reasoningTokens;
      lines.push(`finished ${reason} ${usage.promptTokens} ${usage.completionTokens} ${usage.cachedTokens}`);
    },
    failed: (error) => lines.push(`failed ${error instanceof Error ? error.message : String(error)}`),
  };
}

/** Whether a request with recorded events has ended. */
export const isOver = ({ lines }: { readonly lines: readonly string[] }): boolean =>
  /^(finished|failed)/.test(lines.at(-1) ?? "");

/** Yields to the event loop until a condition holds. @throws Error after 5,000 turns. */
export async function until(condition: () => boolean): Promise<void> {
  for (let turns = 0; !condition(); turns++) {
    if (turns > 5000) throw new Error("the condition did not hold within 5,000 turns of the event loop");
    await turn();
  }
}
