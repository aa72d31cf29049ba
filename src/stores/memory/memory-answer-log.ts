import type {
  AnswerEvent,
  AnswerLog,
  AnswerMeta,
  AnswerOutcome,
  AnswerReader,
  AnswerStatus,
  AnswerWriter,
} from "../../chat/answer-log.ts";
import type { Clock } from "../../core/clock.ts";
import { ServiceError } from "../../core/errors.ts";
import { OwnerLru } from "./owner-lru.ts";
import { TextLog } from "./text-log.ts";

/** What an answer costs beside its text: record, meta, listeners, index entries. An estimate from heap snapshots. */
const RECORD_BYTES = 1024;

/** New answers are refused while running ones hold more than this share of the budget; the rest is for them to grow. */
const RUNNING_SHARE = 3 / 4;

/** How often expired answers are looked for. */
const SWEEP_MS = 1000;

export interface MemoryAnswerLogOptions {
  readonly maxAnswerBytes: number;
  readonly budgetBytes: number;
  readonly retentionMs: number;
  readonly clock: Clock;
}

/** Answers in the memory of this process. */
export class MemoryAnswerLog implements AnswerLog {
  readonly #options: MemoryAnswerLogOptions;
  readonly #answers: OwnerLru<MemoryAnswer>;
  /** Finished answers in order of their end, with the time at which they go. */
  readonly #expiring = new Map<string, number>();
  readonly #hooks: Hooks = {
    grow: (meta, bytes) => this.#grow(meta, bytes),
    finished: (meta, bytes, held) => this.#finished(meta, bytes, held),
  };
  #sweeping = false;
  #runningBytes = 0;
  #cutShort = 0;

  constructor(options: MemoryAnswerLogOptions) {
    this.#options = options;
    this.#answers = new OwnerLru(options.budgetBytes, (key, answer) => {
      this.#expiring.delete(key);
      answer.evict();
    });
  }

  /** Bytes held, running answers included. */
  get bytes(): number {
    return this.#answers.bytes;
  }

  /** Bytes held by running answers. */
  get runningBytes(): number {
    return this.#runningBytes;
  }

  get size(): number {
    return this.#answers.size;
  }

  /** Answers that were ended with `length` because the memory for all of them was full. */
  get cutShort(): number {
    return this.#cutShort;
  }

  create(meta: AnswerMeta): AnswerWriter {
    const { budgetBytes, maxAnswerBytes } = this.#options;
    const crowded = this.#runningBytes + RECORD_BYTES > budgetBytes * RUNNING_SHARE;
    if (crowded || !this.#answers.shrink(RECORD_BYTES, meta.accountKey)) {
      throw new ServiceError("overloaded", "The memory for answers is full; try again soon.", {
        retryAfterMs: 2000,
      });
    }
    const answer = new MemoryAnswer(meta, maxAnswerBytes, this.#hooks);
    this.#answers.add(meta.answer, meta.accountKey, answer, RECORD_BYTES, true);
    this.#runningBytes += RECORD_BYTES;
    return answer;
  }

  find(client: string, answer: string): Promise<AnswerReader | undefined> {
    // Only its owner's look makes it recently used.
    if (this.#answers.peek(answer)?.meta.client !== client) return Promise.resolve(undefined);
    return Promise.resolve(this.#answers.get(answer));
  }

  #grow({ answer, accountKey }: AnswerMeta, bytes: number): boolean {
    const { budgetBytes } = this.#options;
    if (this.#answers.bytes + bytes > budgetBytes && !this.#answers.shrink(bytes, accountKey)) {
      this.#cutShort++;
      return false;
    }
    this.#runningBytes += bytes;
    this.#answers.grow(answer, bytes);
    return true;
  }

  #finished({ answer: key }: AnswerMeta, bytes: number, held: number): void {
    this.#runningBytes -= RECORD_BYTES + held;
    this.#answers.grow(key, bytes);
    this.#answers.pin(key, false);
    this.#answers.shrink();
    this.#expireLater(key, this.#options.retentionMs);
  }

  #expireLater(key: string, ms: number): void {
    // It may have been the one that had to go.
    if (this.#answers.peek(key) === undefined) return;
    this.#expiring.set(key, this.#options.clock.now() + ms);
    if (!this.#sweeping) this.#sweepLater();
  }

  #sweepLater(): void {
    this.#sweeping = true;
    this.#options.clock.after(SWEEP_MS, () => {
      const now = this.#options.clock.now();
      for (const [key, at] of this.#expiring) {
        if (at > now) break;
        this.#expiring.delete(key);
        // Who still reads it keeps it, and its bytes stay counted.
        if (this.#answers.peek(key)?.watched === true)
          this.#expiring.set(key, now + this.#options.retentionMs);
        else this.#answers.delete(key);
      }
      this.#sweeping = false;
      if (this.#expiring.size > 0) this.#sweepLater();
    });
  }
}

/** What an answer does with the budget of all of them. */
interface Hooks {
  /** Takes bytes out of it; false when they are not there. */
  grow(meta: AnswerMeta, bytes: number): boolean;
  /** The end of an answer that holds `held` bytes, with bytes that are kept in any case. */
  finished(meta: AnswerMeta, bytes: number, held: number): void;
}

class MemoryAnswer implements AnswerReader, AnswerWriter {
  readonly meta: AnswerMeta;
  readonly #maxBytes: number;
  readonly #hooks: Hooks;
  #text = new TextLog();
  #events: readonly AnswerEvent[] = [];
  #status: AnswerStatus | null = null;
  #outcome: AnswerOutcome | null = null;
  #evicted = false;
  #listeners: readonly (() => void)[] = [];

  constructor(meta: AnswerMeta, maxBytes: number, hooks: Hooks) {
    this.meta = meta;
    this.#maxBytes = maxBytes;
    this.#hooks = hooks;
  }

  get reader(): AnswerReader {
    return this;
  }

  get length(): number {
    return this.#text.length;
  }

  get status(): AnswerStatus | null {
    return this.#status;
  }

  get events(): readonly AnswerEvent[] {
    return this.#events;
  }

  get outcome(): AnswerOutcome | null {
    return this.#outcome;
  }

  get evicted(): boolean {
    return this.#evicted;
  }

  /** Whether anyone reads it. */
  get watched(): boolean {
    return this.#listeners.length > 0;
  }

  append(text: string): boolean {
    if (this.#outcome !== null || text === "") return true;
    const bytes = Buffer.byteLength(text);
    if (this.#text.length + bytes > this.#maxBytes || !this.#hooks.grow(this.meta, bytes)) return false;
    this.#text.append(text, bytes);
    this.#status = null;
    this.#changed();
    return true;
  }

  addEvent(event: Omit<AnswerEvent, "offset">): void {
    if (this.#outcome !== null) return;
    this.#events = [...this.#events, { ...event, offset: this.length }];
    this.#changed();
  }

  setStatus(status: AnswerStatus | null): void {
    if (this.#outcome !== null) return;
    this.#status = status;
    this.#changed();
  }

  finish(outcome: AnswerOutcome): void {
    if (this.#outcome !== null) return;
    this.#outcome = outcome;
    this.#status = null;
    this.#text.seal();
    // A result may hold as much as a whole message, and is kept as long as the text.
    const kept = outcome.type === "command" ? Buffer.byteLength(JSON.stringify(outcome.result)) : 0;
    this.#hooks.finished(this.meta, kept, this.#text.length);
    this.#changed();
  }

  /** Its bytes are no longer counted, so they must go: what was not read yet is lost. */
  evict(): void {
    this.#evicted = true;
    this.#text = new TextLog();
    this.#changed();
  }

  read(from: number, to?: number): string {
    return this.#text.read(from, to);
  }

  boundary(offset: number): number {
    return this.#text.boundary(offset);
  }

  subscribe(listener: () => void): () => void {
    this.#listeners = [...this.#listeners, listener];
    return () => {
      this.#listeners = this.#listeners.filter((it) => it !== listener);
    };
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}
