import type { SessionRecord, SessionStore } from "../../chat/session-store.ts";
import type { Clock } from "../../core/clock.ts";
import { ExpiryQueue } from "./expiry-queue.ts";
import { OwnerLru } from "./owner-lru.ts";

interface Entry {
  readonly record: SessionRecord;
  /** Number of attached sockets. */
  sockets: number;
}

export interface MemorySessionStoreOptions {
  readonly maxSessions: number;
  /** Share of the sessions that is reserved for each class of accounts; see {@link OwnerLru}. */
  readonly reservedShare: number;
  readonly retentionMs: number;
  readonly clock: Clock;
  /** Called when a session is deleted for good, so that the data of its anonymous client can be deleted. */
  ended(record: SessionRecord): void;
}

/** Sessions in the memory of this process. The budget of its {@link OwnerLru} counts sessions, not bytes. */
export class MemorySessionStore implements SessionStore {
  readonly #options: MemorySessionStoreOptions;
  readonly #sessions: OwnerLru<Entry>;
  /** Sessions without a socket. */
  readonly #expiring: ExpiryQueue;

  constructor(options: MemorySessionStoreOptions) {
    this.#options = options;
    this.#expiring = new ExpiryQueue(options.clock, (hash) => this.#forget(hash));
    this.#sessions = new OwnerLru({
      budget: options.maxSessions,
      reservedShare: options.reservedShare,
      evicted: (hash, entry) => {
        this.#expiring.delete(hash);
        options.ended(entry.record);
      },
    });
  }

  get size(): number {
    return this.#sessions.size;
  }

  create(hash: string, record: SessionRecord): void {
    this.#sessions.shrink(record.accountKey, 1);
    this.#sessions.add(hash, record.accountKey, { record, sockets: 1 }, 1, true);
  }

  attach(hash: string, admit: (record: SessionRecord) => boolean): Promise<SessionRecord | undefined> {
    const entry = this.#sessions.get(hash);
    if (entry === undefined || !admit(entry.record)) return Promise.resolve(undefined);
    entry.sockets++;
    this.#sessions.pin(hash, true);
    this.#expiring.delete(hash);
    return Promise.resolve(entry.record);
  }

  detach(hash: string): void {
    const entry = this.#sessions.get(hash);
    if (entry === undefined || --entry.sockets > 0) return;
    this.#sessions.pin(hash, false);
    this.#expiring.set(hash, this.#options.retentionMs);
  }

  drop(hash: string): void {
    const entry = this.#sessions.peek(hash);
    if (entry === undefined) return;
    // Another socket may have resumed the session meanwhile and still uses it.
    if (entry.sockets > 1) entry.sockets--;
    else this.#forget(hash);
  }

  #forget(hash: string): void {
    const entry = this.#sessions.delete(hash);
    this.#expiring.delete(hash);
    if (entry !== undefined) this.#options.ended(entry.record);
  }
}
