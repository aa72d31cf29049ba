import type { Claim, ConversationStore, MessageKey } from "../../chat/conversation-store.ts";
import type { Clock } from "../../core/clock.ts";
import { ServiceError } from "../../core/errors.ts";
import type { Turn } from "../../core/fit-prompt.ts";
import type { Principal } from "../../core/principal.ts";
import { ClaimTable } from "./claim-table.ts";
import { ContextTable } from "./context-table.ts";
import { LeaseTable } from "./lease-table.ts";
import { OwnerLru } from "./owner-lru.ts";

/** Memory of a history besides its turns, in bytes, as measured (`npm run bench -- address-memory`). */
const RECORD_BYTES = 512;

/**
 * Memory of a turn besides its characters, in bytes: without it, many short turns would take far more than is counted.
 */
const TURN_BYTES = 80;

/** Interval between sweeps of expired conversations. */
const SWEEP_MS = 60_000;

/** Clients whose conversations are checked in one turn of the event loop. */
const MAX_SWEPT_PER_TURN = 1000;

export interface MemoryConversationStoreOptions {
  readonly historyBudgetBytes: number;
  /**
   * Maximum text of one conversation, in UTF-8 bytes. A conversation cannot be evicted while it is written, so without
   * this limit it could displace all others. Providers also receive all of it with each message.
   */
  readonly maxHistoryBytes: number;
  readonly historyTtlMs: number;
  readonly contextBudgetBytes: number;
  readonly anonymousContextBudgetBytes: number;
  /** Maximum number of message ids; those of running answers are kept beyond it. */
  readonly maxMessageIds: number;
  /** Share of the histories and message ids that is reserved for each class of accounts; see {@link OwnerLru}. */
  readonly reservedShare: number;
  readonly maxConversationsPerClient: number;
  /** Whether a client has an open socket. */
  readonly isConnected: (client: string) => boolean;
  /** Called when a client's least recently used conversation is evicted for a new one of the same client. */
  readonly conversationEvicted?: () => void;
  /** Called when a history is evicted or expires, so that providers can drop their cached state of it. */
  readonly historyEvicted?: (client: string, conversation: string) => void;
  /** Called when the context of an anonymous client is dropped for others. */
  readonly contextDropped?: (client: string) => void;
  readonly clock: Clock;
}

interface History {
  readonly client: string;
  readonly conversation: string;
  turns: readonly Turn[];
  /** Text of the turns, in UTF-8 bytes. */
  bytes: number;
  /** `Clock.now()` of the last read or write. */
  usedAt: number;
}

/** Histories, contexts and message ids in the memory of this process. */
export class MemoryConversationStore implements ConversationStore {
  readonly #options: MemoryConversationStoreOptions;
  readonly #histories: OwnerLru<History>;
  /** Names of each client's conversations, least recently used first. */
  readonly #names = new Map<string, Set<string>>();
  readonly #contexts: ContextTable;
  readonly #anonymousContexts: ContextTable;
  readonly #claims: ClaimTable;
  readonly #leases = new LeaseTable();

  constructor(options: MemoryConversationStoreOptions) {
    this.#options = options;
    const { reservedShare } = options;
    this.#claims = new ClaimTable({ maxIds: options.maxMessageIds, reservedShare, clock: options.clock });
    this.#contexts = new ContextTable({ budgetBytes: options.contextBudgetBytes, isKept: () => true });
    this.#anonymousContexts = new ContextTable({
      budgetBytes: options.anonymousContextBudgetBytes,
      isKept: options.isConnected,
      dropped: options.contextDropped,
    });
    this.#histories = new OwnerLru({
      budget: options.historyBudgetBytes,
      reservedShare,
      evicted: (_key, history) => {
        this.#forgetName(history);
        options.historyEvicted?.(history.client, history.conversation);
      },
    });
    this.#sweepLater();
  }

  get historyBytes(): number {
    return this.#histories.bytes;
  }

  get contextBytes(): number {
    return this.#contexts.bytes + this.#anonymousContexts.bytes;
  }

  /** Number of claimed message ids. */
  get claims(): number {
    return this.#claims.size;
  }

  turns(client: string, conversation: string): Promise<readonly Turn[]> {
    const history = this.#histories.get(keyOf(client, conversation));
    if (history !== undefined) this.#touch(history);
    return Promise.resolve(history?.turns ?? []);
  }

  append(owner: Principal, conversation: string, turns: readonly Turn[]): Promise<void> {
    const { client } = owner;
    const key = keyOf(client, conversation);
    let history = this.#histories.get(key);
    if (history === undefined) {
      history = { client, conversation, turns: [], bytes: 0, usedAt: 0 };
      this.#histories.add(key, owner.accountKey, history, RECORD_BYTES);
    }
    const before = heldBytes(history);
    history.turns = [...history.turns, ...turns];
    history.bytes += bytesOf(turns);
    this.#trim(history, turns.length);
    this.#histories.grow(key, heldBytes(history) - before);
    this.#touch(history);
    this.#capNames(client);
    if (this.#histories.isCrowded(owner.accountKey)) this.#evictOthers(key, owner.accountKey);
    return Promise.resolve();
  }

  clear(client: string, conversation: string): Promise<void> {
    const history = this.#histories.delete(keyOf(client, conversation));
    if (history !== undefined) this.#forgetName(history);
    return Promise.resolve();
  }

  context(client: string): Promise<string | null> {
    return Promise.resolve(this.#contexts.get(client) ?? this.#anonymousContexts.get(client) ?? null);
  }

  setContext({ client, accountKey, authenticated }: Principal, text: string): Promise<void> {
    const contexts = authenticated ? this.#contexts : this.#anonymousContexts;
    if (contexts.set(client, accountKey, text)) return Promise.resolve();
    const message =
      "The server's memory for contexts is full, so this context was not saved. " +
      "A previously set context still applies. Try a shorter one, or try again later.";
    return Promise.reject(new ServiceError("context_refused", message));
  }

  clearContext(client: string): Promise<void> {
    this.#contexts.delete(client);
    this.#anonymousContexts.delete(client);
    return Promise.resolve();
  }

  contextWasDropped(client: string): Promise<boolean> {
    return Promise.resolve(this.#anonymousContexts.wasDropped(client));
  }

  /** Reports that a client has opened its first socket or closed its last one. */
  setConnected(client: string, connected: boolean): void {
    this.#anonymousContexts.keep(client, connected);
  }

  async forgetClient(client: string): Promise<void> {
    await this.clearContext(client);
    for (const name of this.#names.get(client) ?? []) await this.clear(client, name);
  }

  claim(key: MessageKey, hash: string, answer: string): Promise<Claim> {
    return Promise.resolve(this.#claims.claim(claimKey(key), key.accountKey, hash, answer));
  }

  settle(key: MessageKey, answer: string, ttlMs: number): Promise<void> {
    this.#claims.settle(claimKey(key), answer, ttlMs);
    return Promise.resolve();
  }

  // Leases need no expiry here, because they end with the process.
  lease(client: string, conversation: string): Promise<() => void> {
    return this.#leases.take(keyOf(client, conversation));
  }

  #touch(history: History): void {
    history.usedAt = this.#options.clock.now();
    let names = this.#names.get(history.client);
    if (names === undefined) this.#names.set(history.client, (names = new Set()));
    // A single name needs no reordering.
    if (names.size > 1) names.delete(history.conversation);
    names.add(history.conversation);
  }

  /**
   * Cuts a history over its limit to half the limit. Cuts are large and rare, because each one invalidates the KV
   * prefix.
   */
  #trim(history: History, added: number): void {
    const maxBytes = this.#options.maxHistoryBytes;
    if (history.bytes <= maxBytes) return;
    const { turns } = history;
    const last = turns.length - added;
    let cut = 0;
    let { bytes } = history;
    while (cut < last && (bytes > maxBytes / 2 || turns[cut]?.role !== "user")) {
      bytes -= bytesOf(turns.slice(cut, cut + 1));
      cut++;
    }
    history.turns = turns.slice(cut);
    history.bytes = bytes;
  }

  /** Evicts other histories until the budget holds. Pinning one costs too much for every message. */
  #evictOthers(key: string, accountKey: string): void {
    this.#histories.pin(key, true);
    this.#histories.shrink(accountKey);
    this.#histories.pin(key, false);
  }

  #capNames(client: string): void {
    const names = this.#names.get(client);
    while (names !== undefined && names.size > this.#options.maxConversationsPerClient) {
      const oldest = names.values().next().value as string;
      this.#histories.delete(keyOf(client, oldest));
      names.delete(oldest);
      this.#options.conversationEvicted?.();
      this.#options.historyEvicted?.(client, oldest);
    }
  }

  #forgetName(history: History): void {
    const names = this.#names.get(history.client);
    names?.delete(history.conversation);
    if (names?.size === 0) this.#names.delete(history.client);
  }

  #sweepLater(): void {
    this.#options.clock.after(SWEEP_MS, () => this.#sweep(this.#names.entries()));
  }

  /** Deletes the expired conversations of some clients, and continues with the others in a later turn. */
  #sweep(clients: MapIterator<[string, Set<string>]>): void {
    const oldest = this.#options.clock.now() - this.#options.historyTtlMs;
    for (let count = 0; count < MAX_SWEPT_PER_TURN; count++) {
      const { value, done } = clients.next();
      if (done === true) {
        this.#sweepLater();
        return;
      }
      const [client, names] = value;
      for (const name of names) {
        const history = this.#histories.peek(keyOf(client, name));
        if (history !== undefined && history.usedAt > oldest) break;
        void this.clear(client, name);
        this.#options.historyEvicted?.(client, name);
      }
    }
    this.#options.clock.after(0, () => this.#sweep(clients));
  }
}

/** Memory of the turns of a history. */
function heldBytes({ turns, bytes }: History): number {
  return bytes + TURN_BYTES * turns.length;
}

function bytesOf(turns: readonly Turn[]): number {
  return turns.reduce((sum, turn) => sum + Buffer.byteLength(turn.content), 0);
}

// Unambiguous: the key of a client may contain any character, but the name of a conversation contains no blank.
function keyOf(client: string, conversation: string): string {
  return `${conversation} ${client}`;
}

function claimKey(key: MessageKey): string {
  return JSON.stringify([key.conversation, key.id, key.client]);
}
