import { networksOf } from "../../core/principal.ts";
import { LruCache } from "../../core/lru-cache.ts";
import { OwnerLru } from "./owner-lru.ts";

/** Maximum share of the free bytes for the contexts of one account, so that one flood leaves room for others. */
const ACCOUNT_SHARE = 1 / 8;

/** The same for all accounts of one network. */
const NETWORK_SHARE = 1 / 4;

/** Memory of a context besides its text, in bytes. */
const RECORD_BYTES = 256;

/** Maximum number of clients that are remembered because their context was dropped: the default of MAX_SESSIONS. */
const MAX_DROPPED = 200_000;

export interface ContextTableOptions {
  readonly budgetBytes: number;
  /** Whether the context of a client must be kept: always for a subject, while it has a socket for an anonymous client. */
  readonly isKept: (client: string) => boolean;
  /** Called when the context of a client is dropped for others, so that providers can drop their cached state of it. */
  readonly dropped?: ((client: string) => void) | undefined;
}

interface Context {
  readonly text: string;
  readonly bytes: number;
  readonly accountKey: string;
  kept: boolean;
}

/**
 * The contexts of one class of clients. Contexts that need not be kept make room for new ones, those of the account
 * with the most bytes first. Kept ones of one account may take an eighth of the bytes that are free without them, and
 * those of one network a quarter, so that something always remains for others.
 */
export class ContextTable {
  readonly #options: ContextTableOptions;
  readonly #contexts: OwnerLru<Context>;
  /** Bytes of kept contexts: of all, and by account and network. */
  #kept = 0;
  readonly #keptBy = new Map<string, number>();
  readonly #dropped = new LruCache<string, true>(MAX_DROPPED);

  constructor(options: ContextTableOptions) {
    this.#options = options;
    this.#contexts = new OwnerLru({
      budget: options.budgetBytes,
      reservedShare: 0,
      evicted: (client) => {
        this.#dropped.set(client, true);
        options.dropped?.(client);
      },
    });
  }

  get bytes(): number {
    return this.#contexts.bytes;
  }

  get(client: string): string | undefined {
    return this.#contexts.get(client)?.text;
  }

  /** Whether the context of this client was dropped for others, and it has neither set nor cleared one since. */
  wasDropped(client: string): boolean {
    return this.#dropped.get(client) === true;
  }

  /** Sets the context of a client. Returns false and changes nothing if there is no room for it. */
  set(client: string, accountKey: string, text: string): boolean {
    const bytes = Buffer.byteLength(text) + RECORD_BYTES;
    const earlier = this.#contexts.peek(client);
    if (earlier?.kept === true) this.#count(earlier, -earlier.bytes);
    if (!this.#fits(accountKey, bytes)) {
      if (earlier?.kept === true) this.#count(earlier, earlier.bytes);
      return false;
    }
    this.#contexts.delete(client);
    this.#dropped.delete(client);
    this.#contexts.shrink(accountKey, bytes);
    const context: Context = { text, bytes, accountKey, kept: this.#options.isKept(client) };
    if (context.kept) this.#count(context, bytes);
    this.#contexts.add(client, accountKey, context, bytes, context.kept);
    return true;
  }

  delete(client: string): void {
    this.#dropped.delete(client);
    const context = this.#contexts.delete(client);
    if (context?.kept === true) this.#count(context, -context.bytes);
  }

  /** Keeps the context of a client from now on, or no longer. */
  keep(client: string, kept: boolean): void {
    const context = this.#contexts.peek(client);
    if (context === undefined || context.kept === kept) return;
    context.kept = kept;
    this.#count(context, kept ? context.bytes : -context.bytes);
    this.#contexts.pin(client, kept);
  }

  #fits(accountKey: string, bytes: number): boolean {
    const free = this.#options.budgetBytes - this.#kept;
    const [network = accountKey] = networksOf(accountKey);
    return (
      this.#isWithin(accountKey, bytes, free, ACCOUNT_SHARE) &&
      this.#isWithin(network, bytes, free, NETWORK_SHARE)
    );
  }

  #isWithin(key: string, bytes: number, free: number, share: number): boolean {
    const kept = this.#keptBy.get(key) ?? 0;
    return kept + bytes <= (free + kept) * share;
  }

  #count({ accountKey }: Context, delta: number): void {
    this.#kept += delta;
    for (const key of [accountKey, ...networksOf(accountKey).slice(0, 1)]) {
      const left = (this.#keptBy.get(key) ?? 0) + delta;
      if (left > 0) this.#keptBy.set(key, left);
      else this.#keptBy.delete(key);
    }
  }
}
