import type { Claim } from "../../chat/conversation-store.ts";
import type { Clock } from "../../core/clock.ts";
import { ExpiryQueue } from "./expiry-queue.ts";
import { OwnerLru } from "./owner-lru.ts";

interface Entry {
  readonly hash: string;
  readonly answer: string;
  /** `Clock.now()` at which the id is free again; Infinity while the answer runs. */
  expiresAt: number;
}

export interface ClaimTableOptions {
  /** Maximum number of ids, those of running answers included. Ids of running answers are kept beyond it. */
  readonly maxIds: number;
  /** Share that is reserved for each class of accounts; see {@link OwnerLru}. */
  readonly reservedShare: number;
  readonly clock: Clock;
}

/**
 * Claimed message ids. The budget of its {@link OwnerLru} counts ids, not bytes. An evicted id is free again, so the
 * same message sent once more is answered once more.
 */
export class ClaimTable {
  readonly #clock: Clock;
  readonly #entries: OwnerLru<Entry>;
  /** Ids whose answers have ended. */
  readonly #ended: ExpiryQueue;

  constructor({ maxIds, reservedShare, clock }: ClaimTableOptions) {
    this.#clock = clock;
    this.#ended = new ExpiryQueue(clock, (key) => this.#free(key));
    this.#entries = new OwnerLru({
      budget: maxIds,
      reservedShare,
      evicted: (key) => this.#ended.delete(key),
    });
  }

  get size(): number {
    return this.#entries.size;
  }

  claim(key: string, accountKey: string, hash: string, answer: string): Claim {
    const entry = this.#entries.peek(key);
    if (entry !== undefined && entry.expiresAt > this.#clock.now()) {
      return entry.hash === hash ? { kind: "join", answer: entry.answer } : { kind: "conflict" };
    }
    this.#free(key);
    this.#entries.shrink(accountKey, 1);
    this.#entries.add(key, accountKey, { hash, answer, expiresAt: Infinity }, 1, true);
    return { kind: "new" };
  }

  settle(key: string, answer: string, ttlMs: number): void {
    const entry = this.#entries.peek(key);
    if (entry === undefined || entry.answer !== answer) return;
    this.#ended.delete(key);
    if (ttlMs <= 0) {
      this.#free(key);
      return;
    }
    entry.expiresAt = this.#clock.now() + ttlMs;
    this.#ended.set(key, ttlMs);
    this.#entries.pin(key, false);
  }

  #free(key: string): void {
    this.#ended.delete(key);
    this.#entries.delete(key);
  }
}
