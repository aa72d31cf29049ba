import type { SessionRecord, SessionStore } from "../../chat/session-store.ts";
import type { Clock } from "../../core/clock.ts";
import { OwnerLru } from "./owner-lru.ts";

interface Kept {
  readonly record: SessionRecord;
  sockets: number;
}

export interface MemorySessionStoreOptions {
  readonly maxSessions: number;
  readonly retentionMs: number;
  readonly clock: Clock;
  /** Told when a session is gone for good, so that an anonymous client's data can go too. */
  ended(record: SessionRecord): void;
}

const SWEEP_MS = 1000;

/** Sessions in the memory of this process; the budget counts sessions, not bytes. */
export class MemorySessionStore implements SessionStore {
  readonly #options: MemorySessionStoreOptions;
  readonly #sessions: OwnerLru<Kept>;
  /** Sessions without a socket in the order in which they lost it, with the time at which they go. */
  readonly #expiring = new Map<string, number>();
  #sweeping = false;

  constructor(options: MemorySessionStoreOptions) {
    this.#options = options;
    this.#sessions = new OwnerLru(options.maxSessions, (hash, kept) => {
      this.#expiring.delete(hash);
      options.ended(kept.record);
    });
  }

  get size(): number {
    return this.#sessions.size;
  }

  create(hash: string, record: SessionRecord): void {
    this.#sessions.shrink(1, record.accountKey);
    this.#sessions.add(hash, record.accountKey, { record, sockets: 1 }, 1, true);
  }

  attach(hash: string, admit: (record: SessionRecord) => boolean): Promise<SessionRecord | undefined> {
    const kept = this.#sessions.get(hash);
    if (kept === undefined || !admit(kept.record)) return Promise.resolve(undefined);
    kept.sockets++;
    this.#sessions.pin(hash, true);
    this.#expiring.delete(hash);
    return Promise.resolve(kept.record);
  }

  detach(hash: string): void {
    const kept = this.#sessions.get(hash);
    if (kept === undefined || --kept.sockets > 0) return;
    this.#sessions.pin(hash, false);
    this.#expiring.set(hash, this.#options.clock.now() + this.#options.retentionMs);
    if (!this.#sweeping) this.#sweepLater();
  }

  drop(hash: string): void {
    const kept = this.#sessions.peek(hash);
    if (kept === undefined) return;
    // Another socket may have resumed it meanwhile: what that one uses must not vanish under it.
    if (kept.sockets > 1) kept.sockets--;
    else this.#forget(hash);
  }

  #forget(hash: string): void {
    const kept = this.#sessions.delete(hash);
    this.#expiring.delete(hash);
    if (kept !== undefined) this.#options.ended(kept.record);
  }

  #sweepLater(): void {
    this.#sweeping = true;
    this.#options.clock.after(SWEEP_MS, () => {
      const now = this.#options.clock.now();
      for (const [hash, at] of this.#expiring) {
        if (at > now) break;
        this.#forget(hash);
      }
      this.#sweeping = false;
      if (this.#expiring.size > 0) this.#sweepLater();
    });
  }
}
