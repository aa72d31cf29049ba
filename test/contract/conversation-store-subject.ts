import type { ConversationStore } from "../../src/chat/conversation-store.ts";
import type { Principal } from "../../src/core/principal.ts";

export interface ConversationStoreOptions {
  readonly historyBudgetBytes: number;
  /** Share of the histories and message ids that is reserved for each class of accounts. */
  readonly reservedShare: number;
  readonly maxHistoryBytes: number;
  readonly historyTtlMs: number;
  readonly contextBudgetBytes: number;
  readonly anonymousContextBudgetBytes: number;
  readonly maxConversationsPerClient: number;
}

export interface ConversationStoreUnderTest {
  readonly store: ConversationStore;
  /** Bytes that the store counts for histories. */
  historyBytes(): number;
  /** Bytes that the store counts for contexts. */
  contextBytes(): number;
  /** Reports that a client has opened its first socket or closed its last one. All clients have one at first. */
  setConnected(client: string, connected: boolean): void;
  /** Lets `ms` milliseconds pass for the store. */
  pass(ms: number): Promise<void>;
  close?(): Promise<void>;
}

export const KIB = 1024;

export function subject(name: string): Principal {
  return { authenticated: true, client: `sub:${name}`, publicId: name, accountKey: `sub:${name}` };
}

export function anonymous(name: string, address = name): Principal {
  return { authenticated: false, client: `anon:${name}`, publicId: name, accountKey: `addr:${address}` };
}
