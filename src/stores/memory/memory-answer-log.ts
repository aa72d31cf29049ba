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

/** What an answer costs beside its text: record, meta, listeners, index entries. An estimate from heap snapshots. */
const RECORD_BYTES = 1024;

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
  #sweeping = false;

  constructor(options: MemoryAnswerLogOptions) {
    this.#options = options;
    this.#answers = new OwnerLru(options.budgetBytes, (answer) => this.#expiring.delete(answer));
  }

  /** Bytes held, running answers included. */
  get bytes(): number {
    return this.#answers.bytes;
  }

  get size(): number {
    return this.#answers.size;
  }

  create(meta: AnswerMeta): AnswerWriter {
    if (!this.#answers.shrink(RECORD_BYTES, meta.charge)) {
      throw new ServiceError("overloaded", "The memory for answers is full; try again soon.", {
        retryAfterMs: 2000,
      });
    }
    const key = meta.answer;
    const answer = new MemoryAnswer(meta, this.#options.maxAnswerBytes, {
      grew: (bytes) => {
        this.#answers.grow(key, bytes);
        this.#answers.shrink();
      },
      finished: () => this.#retain(key),
    });
    this.#answers.add(key, meta.charge, answer, RECORD_BYTES, true);
    return answer;
  }

  find(client: string, answer: string): Promise<AnswerReader | undefined> {
    // Only its owner's look makes it recently used.
    if (this.#answers.peek(answer)?.meta.client !== client) return Promise.resolve(undefined);
    return Promise.resolve(this.#answers.get(answer));
  }

  #retain(key: string): void {
    this.#answers.pin(key, false);
    this.#expiring.set(key, this.#options.clock.now() + this.#options.retentionMs);
    if (!this.#sweeping) this.#sweepLater();
  }

  #sweepLater(): void {
    this.#sweeping = true;
    this.#options.clock.after(SWEEP_MS, () => {
      const now = this.#options.clock.now();
      for (const [key, at] of this.#expiring) {
        if (at > now) break;
        this.#expiring.delete(key);
        this.#answers.delete(key);
      }
      this.#sweeping = false;
      if (this.#expiring.size > 0) this.#sweepLater();
    });
  }
}

interface Hooks {
  grew(bytes: number): void;
  finished(): void;
}

class MemoryAnswer implements AnswerReader, AnswerWriter {
  readonly meta: AnswerMeta;
  readonly #maxBytes: number;
  readonly #hooks: Hooks;
  /** Texts in order and the offset at which each ends. */
  #chunks: string[] = [];
  #ends: number[] = [];
  #events: AnswerEvent[] = [];
  #status: AnswerStatus | null = null;
  #outcome: AnswerOutcome | null = null;
  readonly #listeners = new Set<() => void>();

  constructor(meta: AnswerMeta, maxBytes: number, hooks: Hooks) {
    this.meta = meta;
    this.#maxBytes = maxBytes;
    this.#hooks = hooks;
  }

  get reader(): AnswerReader {
    return this;
  }

  get length(): number {
    return this.#ends.at(-1) ?? 0;
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

  append(text: string): boolean {
    if (this.#outcome !== null || text === "") return true;
    const bytes = Buffer.byteLength(text);
    const end = this.length + bytes;
    if (end > this.#maxBytes) return false;
    this.#chunks.push(text);
    this.#ends.push(end);
    this.#status = null;
    this.#hooks.grew(bytes);
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
    // From here on it is read whole or not at all: one string is smaller than its parts.
    if (this.#chunks.length > 1) {
      this.#ends = [this.length];
      this.#chunks = [this.#chunks.join("")];
    }
    // A result may hold as much as a whole message, and is kept as long as the text.
    if (outcome.type === "command") this.#hooks.grew(Buffer.byteLength(JSON.stringify(outcome.result)));
    this.#hooks.finished();
    this.#changed();
  }

  read(from: number): string {
    if (from === 0) return this.#chunks.length === 1 ? (this.#chunks[0] as string) : this.#chunks.join("");
    // Cursors are near the end: look from there.
    let index = this.#ends.length;
    while (index > 0 && (this.#ends[index - 1] as number) > from) index--;
    if (index === this.#ends.length) return "";
    const start = index === 0 ? 0 : (this.#ends[index - 1] as number);
    const first = this.#chunks[index] as string;
    const head = start === from ? first : Buffer.from(first).toString("utf8", from - start);
    return index + 1 === this.#chunks.length ? head : head + this.#chunks.slice(index + 1).join("");
  }

  boundary(offset: number): number {
    if (offset >= this.length) return this.length;
    if (offset <= 0) return 0;
    let index = this.#ends.length - 1;
    while (index > 0 && (this.#ends[index - 1] as number) > offset) index--;
    const start = index === 0 ? 0 : (this.#ends[index - 1] as number);
    const bytes = Buffer.from(this.#chunks[index] as string);
    let at = offset - start;
    // 0b10xxxxxx continues a character.
    while (at > 0 && ((bytes[at] as number) & 0xc0) === 0x80) at--;
    return start + at;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}
