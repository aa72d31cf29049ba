import { LruCache } from "../../core/lru-cache.ts";
import { FairShares } from "./fair-shares.ts";
import { OwnerLru } from "./owner-lru.ts";

/** Memory of a context besides its text, in bytes. */
const RECORD_BYTES = 256;

/** Maximum number of clients recorded because their context was dropped: the default of MAX_SESSIONS. */
const MAX_DROPPED = 200_000;

export interface ContextTableOptions {
  readonly budgetBytes: number;
  /**
   * Whether the context of a client must be kept: of a subject always, of an anonymous client while it has a socket.
   */
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
 * The contexts of one class of clients. Contexts that need not be kept are dropped for new ones, those of the account
 * with the most bytes first. The kept contexts of one account may take an eighth of the bytes that are free without
 * them, and those of one network a quarter, so that some memory always remains for others. The
 * context of a client that returns counts the same: above the share of its account it may still be dropped.
 */
export class ContextTable {
  readonly #options: ContextTableOptions;
  readonly #contexts: OwnerLru<Context>;
  /** Bytes of kept contexts. */
  readonly #kept: FairShares;
  readonly #dropped = new LruCache<string, true>(MAX_DROPPED);

  constructor(options: ContextTableOptions) {
    this.#options = options;
    this.#kept = new FairShares(options.budgetBytes);
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
    if (earlier?.kept === true) this.#kept.count(earlier.accountKey, -earlier.bytes);
    if (!this.#kept.fits(accountKey, bytes)) {
      if (earlier?.kept === true) this.#kept.count(earlier.accountKey, earlier.bytes);
      return false;
    }
    this.#contexts.delete(client);
    this.#dropped.delete(client);
    this.#contexts.shrink(accountKey, bytes);
    const context: Context = { text, bytes, accountKey, kept: this.#options.isKept(client) };
    if (context.kept) this.#kept.count(accountKey, bytes);
    this.#contexts.add(client, accountKey, context, bytes, context.kept);
    return true;
  }

  delete(client: string): void {
    this.#dropped.delete(client);
    const context = this.#contexts.delete(client);
    if (context?.kept === true) this.#kept.count(context.accountKey, -context.bytes);
  }

  /** Keeps the context of a client from now on, if it is within the shares of its account, or no longer. */
  keep(client: string, kept: boolean): void {
    const context = this.#contexts.peek(client);
    if (context === undefined || context.kept === kept) return;
    // Otherwise an account could fill the whole budget: set contexts within its share, leave, and return with all of them.
    if (kept && !this.#kept.fits(context.accountKey, context.bytes)) return;
    context.kept = kept;
    this.#kept.count(context.accountKey, kept ? context.bytes : -context.bytes);
    this.#contexts.pin(client, kept);
  }
}
