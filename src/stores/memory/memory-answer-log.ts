import type { AnswerLog, AnswerMeta, AnswerReader, AnswerWriter } from "../../chat/answer-log.ts";
import { classOf, type AccountClass } from "../../core/principal.ts";
import type { Clock } from "../../core/clock.ts";
import { ServiceError } from "../../core/errors.ts";
import { ExpiryQueue } from "./expiry-queue.ts";
import { FairShares } from "./fair-shares.ts";
import { MemoryAnswer, type AnswerHooks } from "./memory-answer.ts";
import { OwnerLru } from "./owner-lru.ts";

/** Memory of an answer besides its text (record, meta, listeners, index entries), estimated from heap snapshots. */
const RECORD_BYTES = 1024;

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
  readonly #hooks: AnswerHooks = {
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

function overloaded(reason: string): ServiceError {
  return new ServiceError("overloaded", `${reason} Try again in a few seconds.`, { retryAfterMs: 2000 });
}
