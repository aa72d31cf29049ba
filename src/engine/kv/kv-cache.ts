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
  /** Of a stored token. */
  readonly bytesPerToken: number;
  /** States of another model must never be loaded: this goes into every key. */
  readonly model: string;
  readonly clock: Clock;
  readonly longWork: LongWorkScope;
  readonly onFault: (error: unknown) => void;
}

interface StoredState {
  readonly path: string;
  readonly tokens: readonly number[];
}

// Of what is free on the file system this share stays free.
const KEPT_FREE = 0.1;
// A file has a header beside its tokens.
const HEADER_BYTES = 4096;
// First guess of what saving or loading costs; then measured.
const BYTES_PER_MS = 1_400_000;
const MIN_MS_PER_TOKEN = 1e-4;
const WEIGHT = 0.2;

/** States of sequences in files, within a budget. Not for overlapping calls. */
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

  get bytes(): number {
    return this.#budget.bytes;
  }

  get size(): number {
    return this.#budget.size;
  }

  /** What saving or loading a token costs, in milliseconds. */
  get msPerToken(): number {
    return this.#measured;
  }

  /** Key of what one client owns, or, without a client, of what all share. */
  key(client: string | undefined, name: string): string {
    return `${this.clientKey(client)} ${hashOf(name)}`;
  }

  /** What the keys of all that one client owns begin with, up to a blank. */
  clientKey(client: string | undefined): string {
    return hashOf(JSON.stringify([this.#options.model, client ?? null]));
  }

  /** Tokens of the stored state. */
  tokens(key: string): readonly number[] | undefined {
    return this.#states.get(key)?.tokens;
  }

  /** How many tokens from the first on the stored state and a prompt have in common. */
  commonPrefix(key: string, tokens: readonly number[]): number {
    const stored = this.#states.get(key)?.tokens ?? [];
    let length = 0;
    while (length < stored.length && stored[length] === tokens[length]) length++;
    return length;
  }

  /** Whether what the sequence has is stored, or what is stored begins with it: a slot that a conversation has left has less. */
  holds(key: string, sequence: EngineSequence): boolean {
    const tokens = this.#states.get(key)?.tokens;
    return tokens !== undefined && sequence.commonPrefix(tokens) === sequence.length;
  }

  /** Whether so many tokens can be stored without dropping another state. */
  hasRoom(tokens: number): boolean {
    return this.#budget.bytes + this.#bytesOf(tokens) <= this.#limit();
  }

  /** Stores what a sequence has. @returns false when there is no room or it failed. */
  async save(key: string, owner: string, sequence: EngineSequence): Promise<boolean> {
    const { folder, clock, longWork, onFault } = this.#options;
    const path = join(folder.path, `${++this.#files}`);
    const tokens = sequence.tokens();
    try {
      // The old state of the same key makes room too, but stays until the new one is whole.
      const dropped = this.#budget.makeRoom(owner, this.#bytesOf(tokens.length), this.#limit());
      if (!dropped) return false;
      for (const other of dropped) this.#forget(other);
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

  /** Replaces what the sequence has by the stored state. @returns false when that failed; the sequence is empty then. */
  async load(key: string, sequence: EngineSequence): Promise<boolean> {
    const state = this.#states.get(key);
    if (!state) {
      // It was dropped since, to make room; what the sequence has belongs to somebody else.
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

  /** Removes the states with these keys, and all of the clients with these {@link clientKey}s. @returns how many. */
  forgetAll(keys: ReadonlySet<string>): number {
    const gone = [...this.#states.keys()].filter((key) => {
      return keys.has(key) || keys.has(key.slice(0, key.indexOf(" ")));
    });
    for (const key of gone) this.drop(key);
    return gone.length;
  }

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
    return Math.min(budgetBytes, this.#budget.bytes + folder.freeBytes() * (1 - KEPT_FREE));
  }

  #forget(key: string): void {
    const state = this.#states.get(key);
    if (!state) return;
    this.#states.delete(key);
    removeFile(state.path);
  }

  #observe(ms: number, tokens: number): void {
    if (tokens === 0) return;
    // One hiccup of the machine must not make it look useless.
    const bounded = Math.min(ms / tokens, Math.max(this.#measured, MIN_MS_PER_TOKEN) * 4);
    this.#measured += WEIGHT * (bounded - this.#measured);
  }
}

function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // It was never written.
  }
}
