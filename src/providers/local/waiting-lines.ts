import { WaitingRoom } from "../../core/queues/waiting-room.ts";
import type { Waiter } from "../../core/queues/waiting-weights.ts";

interface WaitingLine extends Waiter {
  readonly id: number;
  readonly line: string;
}

/** Encoded requests that wait for the engine to start, in order of arrival. */
export class WaitingLines {
  readonly #limit: number;
  readonly #room: WaitingRoom<WaitingLine>;
  readonly #requests = new Map<number, WaitingLine>();
  /** Encoded `forget` requests. Waiting requests may belong to their clients. */
  #forgets: string[] = [];

  /** @param limit requests that may wait */
  constructor(limit: number) {
    this.#limit = limit;
    this.#room = new WaitingRoom(limit);
  }

  get size(): number {
    return this.#requests.size;
  }

  has(id: number): boolean {
    return this.#requests.has(id);
  }

  /** Adds a request. @returns the id of the request that has no place now, which may be this one; undefined for none */
  add(id: number, line: string, { accountKey, authenticated }: Waiter): number | undefined {
    const request = { id, line, accountKey, authenticated };
    const loser = this.#room.enter(request);
    if (loser !== request) this.#requests.set(id, request);
    if (loser) this.#requests.delete(loser.id);
    return loser?.id;
  }

  /** Keeps a `forget` request if an earlier request waits, and drops it otherwise: a new engine holds no data. */
  addForget(line: string): void {
    if (this.size > 0 && this.#forgets.length < this.#limit) this.#forgets.push(line);
  }

  /** @returns whether the request was waiting */
  remove(id: number): boolean {
    const request = this.#requests.get(id);
    if (!request) return false;
    this.#requests.delete(id);
    return this.#room.leave(request);
  }

  /** Removes and returns all lines, in the order in which the engine must receive them. */
  takeAll(): string[] {
    const lines = [...Array.from(this.#requests.values(), ({ line }) => line), ...this.#forgets];
    for (const request of this.#requests.values()) this.#room.leave(request);
    this.#requests.clear();
    this.#forgets = [];
    return lines;
  }
}
