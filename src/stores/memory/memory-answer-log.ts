import type {
  AnswerEvent,
  AnswerEventContent,
  AnswerLog,
  AnswerMeta,
  AnswerOutcome,
  AnswerReader,
  AnswerStatus,
  AnswerWriter,
} from "../../chat/answer-log.ts";
import { classOf, type AccountClass } from "../../core/principal.ts";
import type { Clock } from "../../core/clock.ts";
import { ServiceError } from "../../core/errors.ts";
import { ExpiryQueue } from "./expiry-queue.ts";
import { FairShares } from "./fair-shares.ts";
import { OwnerLru } from "./owner-lru.ts";
import { TextLog } from "./text-log.ts";

/** Memory of an answer besides its text (record, meta, listeners, index entries), estimated from heap snapshots. */
const RECORD_BYTES = 1024;

/** Bytes of a value in the result of a command, besides its text. */
const VALUE_BYTES = 16;

/**
 * New answers are refused while running ones of the same class hold more than this share of the bytes that the class
 * can use. The rest is reserved for their growth.
 */
const RUNNING_SHARE = 3 / 4;

/** Share of the budget for the messages of running answers, for each class of accounts. */
const MESSAGE_SHARE = 1 / 4;

export interface MemoryAnswerLogOptions {
  /** Maximum text of one answer, in UTF-8 bytes. */
  readonly maxAnswerBytes: number;
  /** Memory of all answers together. */
  readonly budgetBytes: number;
  /** Share of the budget that is reserved for each class of accounts; see {@link OwnerLru}. */
  readonly reservedShare: number;
  /** Milliseconds for which a finished answer is retained. */
  readonly retentionMs: number;
  readonly clock: Clock;
}

/** Answers in the memory of this process. */
export class MemoryAnswerLog implements AnswerLog {
  readonly #options: MemoryAnswerLogOptions;
  readonly #answers: OwnerLru<MemoryAnswer>;
  /** Finished answers. */
  readonly #expiring: ExpiryQueue;
  readonly #hooks: Hooks = {
    grow: (answer, bytes) => this.#grow(answer, bytes),
    finished: (answer, bytes, held) => this.#finished(answer, bytes, held),
  };
  readonly #runningBytes: Record<AccountClass, number> = { authenticated: 0, anonymous: 0 };
  readonly #messages: Record<AccountClass, FairShares>;
  #cutShort = 0;

  constructor(options: MemoryAnswerLogOptions) {
    this.#options = options;
    this.#expiring = new ExpiryQueue(options.clock, (key) => this.#expire(key));
    const messageBytes = options.budgetBytes * MESSAGE_SHARE;
    this.#messages = {
      authenticated: new FairShares(messageBytes),
      anonymous: new FairShares(messageBytes),
    };
    this.#answers = new OwnerLru({
      budget: options.budgetBytes,
      reservedShare: options.reservedShare,
      evicted: (key, answer) => {
        this.#expiring.delete(key);
        answer.evict();
      },
    });
  }

  /** Bytes held, running answers included. */
  get bytes(): number {
    return this.#answers.bytes;
  }

  /** Bytes held by running answers. */
  get runningBytes(): number {
    return this.#runningBytes.authenticated + this.#runningBytes.anonymous;
  }

  get size(): number {
    return this.#answers.size;
  }

  /** Number of answers that ended with `length` because the memory for all answers was full. */
  get cutShort(): number {
    return this.#cutShort;
  }

  create(meta: AnswerMeta, messageBytes = 0): AnswerWriter {
    const { accountKey } = meta;
    const kind = classOf(accountKey);
    const bytes = RECORD_BYTES + messageBytes;
    const messages = this.#messages[kind];
    // One message is accepted whatever its length, or a small budget would refuse it forever.
    if (messages.bytesOf(accountKey) > 0 && !messages.fits(accountKey, messageBytes))
      throw overloaded("Your messages that are waiting for an answer are too long in total.");
    const crowded = this.#runningBytes[kind] + bytes > this.#usableBytes(kind) * RUNNING_SHARE;
    if (crowded || !this.#answers.shrink(accountKey, bytes))
      throw overloaded("The server has no memory left for another answer.");
    const answer = new MemoryAnswer({ meta, messageBytes }, this.#options.maxAnswerBytes, this.#hooks);
    this.#answers.add(meta.answer, accountKey, answer, bytes, true);
    this.#runningBytes[kind] += bytes;
    messages.count(accountKey, messageBytes);
    return answer;
  }

  find(client: string, answer: string): Promise<AnswerReader | undefined> {
    // Only a lookup by the owner counts as use.
    if (this.#answers.peek(answer)?.meta.client !== client) return Promise.resolve(undefined);
    return Promise.resolve(this.#answers.get(answer));
  }

  #grow({ meta, kind }: MemoryAnswer, bytes: number): boolean {
    if (!this.#answers.growWithin(meta.answer, bytes)) {
      this.#cutShort++;
      return false;
    }
    this.#runningBytes[kind] += bytes;
    return true;
  }

  /** Bytes that running answers of a class can use: its limit, less what running answers of the other one hold. */
  #usableBytes(kind: AccountClass): number {
    const other = kind === "anonymous" ? "authenticated" : "anonymous";
    return Math.min(this.#answers.classLimit, this.#options.budgetBytes - this.#runningBytes[other]);
  }

  #finished({ meta, kind, messageBytes }: MemoryAnswer, bytes: number, held: number): void {
    const { answer: key, accountKey } = meta;
    this.#runningBytes[kind] -= RECORD_BYTES + messageBytes + held;
    this.#messages[kind].count(accountKey, -messageBytes);
    this.#answers.grow(key, bytes - messageBytes);
    this.#answers.pin(key, false);
    this.#answers.shrink(accountKey);
    // The answer may have been evicted when it finished.
    if (this.#answers.peek(key) !== undefined) this.#expiring.set(key, this.#options.retentionMs);
  }

  #expire(key: string): void {
    // An answer with readers is retained, and its bytes stay counted.
    if (this.#answers.peek(key)?.watched === true) this.#expiring.set(key, this.#options.retentionMs);
    else this.#answers.delete(key);
  }
}

/** How an answer accounts for its memory in the log. */
interface Hooks {
  /** Reserves `bytes` for more text; false when the budget has no space left. */
  grow(answer: MemoryAnswer, bytes: number): boolean;
  /** Called at the end of an answer with `held` bytes of text. `bytes` is the size of its result, also counted now. */
  finished(answer: MemoryAnswer, bytes: number, held: number): void;
}

function overloaded(reason: string): ServiceError {
  return new ServiceError("overloaded", `${reason} Try again in a few seconds.`, { retryAfterMs: 2000 });
}

class MemoryAnswer implements AnswerReader, AnswerWriter {
  readonly meta: AnswerMeta;
  /** Class of the account that is charged. */
  readonly kind: AccountClass;
  /** Memory of the message that it answers. */
  readonly messageBytes: number;
  readonly #maxBytes: number;
  readonly #hooks: Hooks;
  #text = new TextLog();
  #events: readonly AnswerEvent[] = [];
  #status: AnswerStatus | null = null;
  #outcome: AnswerOutcome | null = null;
  #evicted = false;
  #listeners: readonly (() => void)[] = [];

  constructor(init: { meta: AnswerMeta; messageBytes: number }, maxBytes: number, hooks: Hooks) {
    this.meta = init.meta;
    this.kind = classOf(init.meta.accountKey);
    this.messageBytes = init.messageBytes;
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

  /** Whether the answer has subscribers. */
  get watched(): boolean {
    return this.#listeners.length > 0;
  }

  append(text: string): boolean {
    if (this.#outcome !== null || text === "") return true;
    const bytes = Buffer.byteLength(text);
    if (this.#text.length + bytes > this.#maxBytes || !this.#hooks.grow(this, bytes)) return false;
    this.#text.append(text, bytes);
    this.#status = null;
    this.#changed();
    return true;
  }

  addEvent(event: AnswerEventContent): void {
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
    // A result can be as large as a whole message and is retained as long as the text.
    const resultBytes = outcome.type === "command" ? bytesOf(outcome.result) : 0;
    this.#hooks.finished(this, resultBytes, this.#text.length);
    this.#changed();
  }

  /** Drops the text, whose bytes are no longer counted. Readers lose what they have not read yet. */
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

/** Bytes of a value of JSON, about; encoding it would cost more than sending it. */
function bytesOf(value: unknown): number {
  if (typeof value === "string") return Buffer.byteLength(value) + VALUE_BYTES;
  if (typeof value !== "object" || value === null) return VALUE_BYTES;
  return Object.values(value).reduce((sum: number, each) => sum + bytesOf(each), VALUE_BYTES);
}
