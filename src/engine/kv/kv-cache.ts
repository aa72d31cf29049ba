import { unlinkSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../core/clock.ts";
import { hashOf } from "../../core/ids.ts";
import type { EngineSequence, LongWorkScope } from "../ports.ts";
import { KvBudget } from "./kv-budget.ts";
import type { KvFolder } from "./kv-folder.ts";

export interface KvCacheOptions {
  readonly folder: KvFolder;
  readonly budgetBytes: number;
  /** Bytes that one token takes in a file. */
  readonly bytesPerToken: number;
  /** Part of every key, because a state of another model must never be loaded. */
  readonly model: string;
  readonly clock: Clock;
  readonly longWork: LongWorkScope;
  /** Receives errors of saving and loading. */
  readonly onFault: (error: unknown) => void;
}

interface StoredState {
  readonly path: string;
  readonly tokens: readonly number[];
}

/** Share of the free space of the file system that is never used. */
const RESERVED_SHARE = 0.1;
/** Upper bound of a file's size without its tokens. */
const HEADER_BYTES = 4096;
/** Assumed throughput of saving and loading until it is measured. */
const BYTES_PER_MS = 1_400_000;
/** Lower bound of the estimate when outliers are capped, so that the cap never becomes zero. */
const MIN_MS_PER_TOKEN = 1e-4;
/** Weight of the latest measurement in the moving average. */
const WEIGHT = 0.2;
/** A measurement counts as at most this multiple of the current estimate. */
const MAX_OUTLIER = 4;

/** Stores states of sequences in files, within a budget in bytes. Calls must not overlap. */
export class KvCache {
  readonly #options: KvCacheOptions;
  readonly #budget = new KvBudget();
  readonly #states = new Map<string, StoredState>();
  #files = 0;
  #measured: number;

  constructor(options: KvCacheOptions) {
    this.#options = options;
    this.#measured = options.bytesPerToken / BYTES_PER_MS;
  }

  /** Bytes of all stored states. */
  get bytes(): number {
    return this.#budget.bytes;
  }

  /** Number of stored states. */
  get size(): number {
    return this.#budget.size;
  }

  /** Moving average of the time to save or load one token, in milliseconds. */
  get msPerToken(): number {
    return this.#measured;
  }

  /** Key of a client's state, or of a state that all clients share when `client` is undefined. */
  key(client: string | undefined, name: string): string {
    return `${this.clientKey(client)} ${hashOf(name)}`;
  }

  /** Prefix of the keys of all states of one client; a space follows it in the key. */
  clientKey(client: string | undefined): string {
    return hashOf(JSON.stringify([this.#options.model, client ?? null]));
  }

  /** Tokens of the stored state, or undefined when there is none. */
  tokens(key: string): readonly number[] | undefined {
    return this.#states.get(key)?.tokens;
  }

  /** Number of leading tokens that the stored state and a prompt have in common. */
  commonPrefix(key: string, tokens: readonly number[]): number {
    const stored = this.#states.get(key)?.tokens ?? [];
    let length = 0;
    while (length < stored.length && stored[length] === tokens[length]) length++;
    return length;
  }

  /** Whether the stored state begins with all tokens of the sequence. A slot may hold an older, shorter part of it. */
  holds(key: string, sequence: EngineSequence): boolean {
    const tokens = this.#states.get(key)?.tokens;
    return tokens !== undefined && sequence.commonPrefix(tokens) === sequence.length;
  }

  /** Whether a state of this many tokens fits without evicting another one. */
  hasSpace(tokens: number): boolean {
    return this.#budget.bytes + this.#bytesOf(tokens) <= this.#limit();
  }

  /** Stores the state of a sequence. @returns false when it does not fit or saving failed. */
  async save(key: string, owner: string, sequence: EngineSequence): Promise<boolean> {
    const { folder, clock, longWork, onFault } = this.#options;
    const path = join(folder.path, `${++this.#files}`);
    const tokens = sequence.tokens();
    try {
      // The old state of this key may be evicted here. Otherwise it stays until the new one is complete.
      const evicted = this.#budget.evictFor(owner, this.#bytesOf(tokens.length), this.#limit());
      if (!evicted) return false;
      for (const other of evicted) this.#forget(other);
      const from = clock.now();
      const bytes = await longWork.during(() => sequence.save(path));
      this.#observe(clock.now() - from, tokens.length);
      this.drop(key);
      this.#states.set(key, { path, tokens });
      this.#budget.add(key, owner, bytes);
      return true;
    } catch (error) {
      onFault(error);
      removeFile(path);
      return false;
    }
  }

  /**
   * Replaces the KV of the sequence by the stored state.
   *
   * @returns false when that failed; the sequence is then empty.
   */
  async load(key: string, sequence: EngineSequence): Promise<boolean> {
    const state = this.#states.get(key);
    if (!state) {
      // The state was evicted meanwhile. The KV in the sequence belongs to another conversation, so it is erased.
      await sequence.truncate(0);
      return false;
    }
    const { clock, longWork, onFault } = this.#options;
    try {
      const from = clock.now();
      await longWork.during(() => sequence.load(state.path));
      this.#observe(clock.now() - from, state.tokens.length);
      this.#budget.touch(key);
      return true;
    } catch (error) {
      onFault(error);
      this.drop(key);
      await sequence.truncate(0);
      return false;
    }
  }

  /** Removes states by key, and all states of a client by {@link clientKey}. @returns the number removed. */
  dropAll(keys: ReadonlySet<string>): number {
    const matching = [...this.#states.keys()].filter((key) => {
      return keys.has(key) || keys.has(key.slice(0, key.indexOf(" ")));
    });
    for (const key of matching) this.drop(key);
    return matching.length;
  }

  /** Removes a state and its file, if there is one. */
  drop(key: string): void {
    this.#budget.remove(key);
    this.#forget(key);
  }

  /** Removes all files and the folder. */
  close(): void {
    this.#states.clear();
    this.#options.folder.remove();
  }

  #bytesOf(tokens: number): number {
    return tokens * this.#options.bytesPerToken + HEADER_BYTES;
  }

  #limit(): number {
    const { budgetBytes, folder } = this.#options;
    return Math.min(budgetBytes, this.#budget.bytes + folder.freeBytes() * (1 - RESERVED_SHARE));
  }

  #forget(key: string): void {
    const state = this.#states.get(key);
    if (!state) return;
    this.#states.delete(key);
    removeFile(state.path);
  }

  #observe(ms: number, tokens: number): void {
    if (tokens === 0) return;
    // One slow call must not raise the estimate so far that nothing is stored.
    const bounded = Math.min(ms / tokens, Math.max(this.#measured, MIN_MS_PER_TOKEN) * MAX_OUTLIER);
    this.#measured += WEIGHT * (bounded - this.#measured);
  }
}

function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // The file was never written.
  }
}
