import type { Turn } from "../core/fit-prompt.ts";
import type { Principal } from "../core/principal.ts";

/** Result of claiming a message id. */
export type Claim =
  /** The id was free and now belongs to the given answer. */
  | { readonly kind: "new" }
  /** The same frame was received before and belongs to `answer`. */
  | { readonly kind: "join"; readonly answer: string }
  /** A different frame was received under this id before. */
  | { readonly kind: "conflict" };

export interface MessageKey {
  readonly client: string;
  /** Key of the account that is charged for the id. */
  readonly accountKey: string;
  readonly conversation: string;
  readonly id: string;
}

/**
 * Port: histories, contexts and message ids of all clients. `conversation` is the name of a conversation within the
 * client. No call returns data of another client.
 */
export interface ConversationStore {
  /** The turns of a conversation, oldest first; empty when it has none. */
  turns(client: string, conversation: string): Promise<readonly Turn[]>;
  /** Adds the two turns of an answer that ended. May evict other conversations to free memory, never this one. */
  append(owner: Principal, conversation: string, turns: readonly Turn[]): Promise<void>;
  /** Deletes the turns of a conversation and keeps the context. */
  clear(client: string, conversation: string): Promise<void>;
  /** Null when the client has set none. */
  context(client: string): Promise<string | null>;
  /**
   * Sets the context of a client. May drop contexts of anonymous clients to free memory: of those without a
   * socket, and of those that returned when their account had no share left.
   * @throws ServiceError `context_refused` when there is no memory left for it; the earlier context still applies.
   */
  setContext(owner: Principal, text: string): Promise<void>;
  clearContext(client: string): Promise<void>;
  /** Whether the client's context was dropped to free memory, and the client has neither set nor cleared one since. */
  contextWasDropped(client: string): Promise<boolean>;
  /** Deletes everything of a client whose session ended. */
  forgetClient(client: string): Promise<void>;
  /** Atomically claims an id for an answer. `hash` is that of the frame; another hash under the same id is a conflict. */
  claim(key: MessageKey, hash: string, answer: string): Promise<Claim>;
  /**
   * Keeps the id for another `ttlMs` milliseconds after its answer ended; 0 frees it at once. No effect when the id
   * belongs to another answer.
   */
  settle(key: MessageKey, answer: string, ttlMs: number): Promise<void>;
  /**
   * Takes the exclusive right to answer in a conversation, first come first served across all processes. The returned
   * function releases it. It lapses after `ttlMs` milliseconds if its process crashes.
   */
  lease(client: string, conversation: string, ttlMs: number): Promise<() => void>;
}
