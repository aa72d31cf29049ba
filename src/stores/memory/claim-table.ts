import type { Claim } from "../../chat/conversation-store.ts";
import type { Clock } from "../../core/clock.ts";

interface Entry {
  readonly hash: string;
  readonly answer: string;
  /** `Clock.now()` at which the id is free again; Infinity while the answer runs. */
  expiresAt: number;
}

/** Interval between sweeps of expired ids. */
const SWEEP_MS = 1000;

/** Claimed message ids. There are at most as many as running answers and answers within their retention time. */
export class ClaimTable {
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();
  /** Entries whose answers have ended, in the order in which they ended. */
  readonly #ended = new Map<string, Entry>();
  #sweeping = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#entries.size;
  }

  claim(key: string, hash: string, answer: string): Claim {
    const entry = this.#entries.get(key);
    if (entry !== undefined && entry.expiresAt > this.#clock.now()) {
      return entry.hash === hash ? { kind: "join", answer: entry.answer } : { kind: "conflict" };
    }
    this.#ended.delete(key);
    this.#entries.set(key, { hash, answer, expiresAt: Infinity });
    return { kind: "new" };
  }

  settle(key: string, answer: string, ttlMs: number): void {
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.answer !== answer) return;
    this.#ended.delete(key);
    if (ttlMs <= 0) {
      this.#entries.delete(key);
      return;
    }
    entry.expiresAt = this.#clock.now() + ttlMs;
    this.#ended.set(key, entry);
    if (!this.#sweeping) this.#sweepLater();
  }

  #sweepLater(): void {
    this.#sweeping = true;
    this.#clock.after(SWEEP_MS, () => {
      const now = this.#clock.now();
      for (const [key, entry] of this.#ended) {
        if (entry.expiresAt > now) break;
        this.#ended.delete(key);
        this.#entries.delete(key);
      }
      this.#sweeping = false;
      if (this.#ended.size > 0) this.#sweepLater();
    });
  }
}
