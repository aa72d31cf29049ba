import type { Turn } from "../core/fit-prompt.ts";
import type { Principal } from "../core/principal.ts";

/** What became of a client's own message id. */
export type Claim =
  /** The id was free and belongs to the given answer now. */
  | { readonly kind: "new" }
  /** The same frame came before: its answer. */
  | { readonly kind: "join"; readonly answer: string }
  /** Another frame came under this id before. */
  | { readonly kind: "conflict" };

export interface MessageKey {
  readonly client: string;
  readonly conversation: string;
  readonly id: string;
}

/**
 * Port: histories, contexts and message ids of all clients. `conversation` is its name within the client. No call ever
 * shows one client's data to another.
 */
export interface ConversationStore {
  /** Oldest first; empty when there is none. */
  turns(client: string, conversation: string): Promise<readonly Turn[]>;
  /** Adds the two turns of an answer that ended. Evicts by the policy of the store, never this conversation. */
  append(owner: Principal, conversation: string, turns: readonly Turn[]): Promise<void>;
  /** Forgets the turns; the context stays. */
  clear(client: string, conversation: string): Promise<void>;
  context(client: string): Promise<string | null>;
  /** @throws ServiceError `context_refused` when the budget for contexts is full; what others stored stays. */
  setContext(owner: Principal, text: string): Promise<void>;
  clearContext(client: string): Promise<void>;
  /** Everything of a client whose session ended. */
  forgetClient(client: string): Promise<void>;
  /** Takes an id for an answer, atomically. `hash` is of the frame: the same id with another hash is a conflict. */
  claim(key: MessageKey, hash: string, answer: string): Promise<Claim>;
  /** The answer ended: with `ttlMs` the id is kept that long, with 0 it is free again. Only if it is that answer's. */
  settle(key: MessageKey, answer: string, ttlMs: number): Promise<void>;
  /**
   * Takes the right to run in a conversation, in order over all processes. The returned function gives it back.
   * It lapses after `ttlMs` if its process dies.
   */
  lease(client: string, conversation: string, ttlMs: number): Promise<() => void>;
}
