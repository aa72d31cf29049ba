import type { Claim, ConversationStore, MessageKey } from "../../chat/conversation-store.ts";
import type { Clock } from "../../core/clock.ts";
import { ServiceError } from "../../core/errors.ts";
import type { Turn } from "../../core/fit-prompt.ts";
import type { Principal } from "../../core/principal.ts";
import { ClaimTable } from "./claim-table.ts";
import { LeaseTable } from "./lease-table.ts";
import { OwnerLru } from "./owner-lru.ts";

/** One principal may fill at most this share of a budget for contexts, so that a flood refuses only itself. */
const CONTEXT_SHARE = 1 / 8;

/** What a history or a context costs beside its text. */
const RECORD_BYTES = 256;

/** How often conversations past their time to live are looked for. */
const SWEEP_MS = 60_000;

export interface MemoryConversationStoreOptions {
  readonly historyBudgetBytes: number;
  /**
   * Text of one conversation. The one that is being written cannot be evicted, so without a bound of its own it would
   * drive out everybody else's; and a provider gets all of it with each message.
   */
  readonly maxHistoryBytes: number;
  readonly historyTtlMs: number;
  readonly contextBudgetBytes: number;
  readonly anonymousContextBudgetBytes: number;
  readonly maxConversationsPerClient: number;
  /** Told when a client's oldest conversation made room for a new one of the same client. */
  readonly conversationEvicted?: () => void;
  /** Told when a history made room for others or was too old: what providers keep of it may go too. */
  readonly historyGone?: (client: string, conversation: string) => void;
  readonly clock: Clock;
}

interface History {
  readonly client: string;
  readonly conversation: string;
  turns: readonly Turn[];
  /** Of the turns' text, in UTF-8. */
  bytes: number;
  usedAt: number;
}

interface Context {
  readonly text: string;
  readonly bytes: number;
  readonly accountKey: string;
  readonly authenticated: boolean;
}

/** Histories, contexts and message ids in the memory of this process. */
export class MemoryConversationStore implements ConversationStore {
  readonly #options: MemoryConversationStoreOptions;
  readonly #histories: OwnerLru<History>;
  /** Names of each client's conversations, least recently used first. */
  readonly #names = new Map<string, Set<string>>();
  readonly #contexts = new Map<string, Context>();
  readonly #contextBytes = { authenticated: 0, anonymous: 0 };
  readonly #contextBytesByAccount = new Map<string, number>();
  readonly #claims: ClaimTable;
  readonly #leases = new LeaseTable();

  constructor(options: MemoryConversationStoreOptions) {
    this.#options = options;
    this.#claims = new ClaimTable(options.clock);
    this.#histories = new OwnerLru(options.historyBudgetBytes, (_key, history) => {
      this.#forgetName(history);
      options.historyGone?.(history.client, history.conversation);
    });
    this.#sweepLater();
  }

  get historyBytes(): number {
    return this.#histories.bytes;
  }

  get contextBytes(): number {
    return this.#contextBytes.authenticated + this.#contextBytes.anonymous;
  }

  /** Message ids that are taken. */
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
    const before = history.bytes;
    history.turns = [...history.turns, ...turns];
    history.bytes += bytesOf(turns);
    this.#trim(history, turns.length);
    this.#histories.grow(key, history.bytes - before);
    this.#touch(history);
    this.#histories.pin(key, true);
    this.#capNames(client);
    this.#histories.shrink();
    this.#histories.pin(key, false);
    return Promise.resolve();
  }

  clear(client: string, conversation: string): Promise<void> {
    const history = this.#histories.delete(keyOf(client, conversation));
    if (history !== undefined) this.#forgetName(history);
    return Promise.resolve();
  }

  context(client: string): Promise<string | null> {
    return Promise.resolve(this.#contexts.get(client)?.text ?? null);
  }

  setContext(owner: Principal, text: string): Promise<void> {
    const { client, accountKey, authenticated } = owner;
    const kind = authenticated ? "authenticated" : "anonymous";
    const budget = authenticated
      ? this.#options.contextBudgetBytes
      : this.#options.anonymousContextBudgetBytes;
    const bytes = Buffer.byteLength(text) + RECORD_BYTES;
    const earlier = this.#contexts.get(client);
    const freed = earlier?.bytes ?? 0;
    // A client that came back from another address frees what the earlier one was charged, not this one.
    const freedOfAccount = earlier?.accountKey === accountKey ? freed : 0;
    const charged = (this.#contextBytesByAccount.get(accountKey) ?? 0) - freedOfAccount;
    if (this.#contextBytes[kind] - freed + bytes > budget || charged + bytes > budget * CONTEXT_SHARE) {
      const message =
        "The memory for contexts is full, so this one was not kept; the earlier one still holds.";
      return Promise.reject(new ServiceError("context_refused", message));
    }
    this.#dropContext(client);
    this.#contexts.set(client, { text, bytes, accountKey, authenticated });
    this.#contextBytes[kind] += bytes;
    this.#contextBytesByAccount.set(accountKey, (this.#contextBytesByAccount.get(accountKey) ?? 0) + bytes);
    return Promise.resolve();
  }

  clearContext(client: string): Promise<void> {
    this.#dropContext(client);
    return Promise.resolve();
  }

  async forgetClient(client: string): Promise<void> {
    this.#dropContext(client);
    for (const name of this.#names.get(client) ?? []) await this.clear(client, name);
  }

  claim(key: MessageKey, hash: string, answer: string): Promise<Claim> {
    return Promise.resolve(this.#claims.claim(claimKey(key), hash, answer));
  }

  settle(key: MessageKey, answer: string, ttlMs: number): Promise<void> {
    this.#claims.settle(claimKey(key), answer, ttlMs);
    return Promise.resolve();
  }

  // One process, which cannot die and leave its lease behind: the time to live has no work here.
  lease(client: string, conversation: string): Promise<() => void> {
    return this.#leases.take(keyOf(client, conversation));
  }

  #touch(history: History): void {
    history.usedAt = this.#options.clock.now();
    let names = this.#names.get(history.client);
    if (names === undefined) this.#names.set(history.client, (names = new Set()));
    // One name alone has no order.
    if (names.size > 1) names.delete(history.conversation);
    names.add(history.conversation);
  }

  /** Cuts a history that outgrew its bound to half of it: deep and rarely, since each cut costs the model's KV prefix. */
  #trim(history: History, added: number): void {
    const most = this.#options.maxHistoryBytes;
    if (history.bytes <= most) return;
    const { turns } = history;
    const last = turns.length - added;
    let cut = 0;
    let { bytes } = history;
    while (cut < last && (bytes > most / 2 || turns[cut]?.role !== "user")) {
      bytes -= bytesOf(turns.slice(cut, cut + 1));
      cut++;
    }
    history.turns = turns.slice(cut);
    history.bytes = bytes;
  }

  #capNames(client: string): void {
    const names = this.#names.get(client);
    while (names !== undefined && names.size > this.#options.maxConversationsPerClient) {
      const oldest = names.values().next().value as string;
      this.#histories.delete(keyOf(client, oldest));
      names.delete(oldest);
      this.#options.conversationEvicted?.();
      this.#options.historyGone?.(client, oldest);
    }
  }

  #forgetName(history: History): void {
    const names = this.#names.get(history.client);
    names?.delete(history.conversation);
    if (names?.size === 0) this.#names.delete(history.client);
  }

  #dropContext(client: string): void {
    const context = this.#contexts.get(client);
    if (context === undefined) return;
    this.#contexts.delete(client);
    this.#contextBytes[context.authenticated ? "authenticated" : "anonymous"] -= context.bytes;
    const left = (this.#contextBytesByAccount.get(context.accountKey) ?? 0) - context.bytes;
    if (left > 0) this.#contextBytesByAccount.set(context.accountKey, left);
    else this.#contextBytesByAccount.delete(context.accountKey);
  }

  #sweepLater(): void {
    this.#options.clock.after(SWEEP_MS, () => {
      const oldest = this.#options.clock.now() - this.#options.historyTtlMs;
      for (const [client, names] of this.#names) {
        for (const name of names) {
          const history = this.#histories.peek(keyOf(client, name));
          if (history !== undefined && history.usedAt > oldest) break;
          void this.clear(client, name);
          this.#options.historyGone?.(client, name);
        }
      }
      this.#sweepLater();
    });
  }
}

function bytesOf(turns: readonly Turn[]): number {
  return turns.reduce((sum, turn) => sum + Buffer.byteLength(turn.content), 0);
}

// A client's key may hold any character, a conversation's name never a blank.
function keyOf(client: string, conversation: string): string {
  return `${conversation} ${client}`;
}

function claimKey(key: MessageKey): string {
  return JSON.stringify([key.conversation, key.id, key.client]);
}
