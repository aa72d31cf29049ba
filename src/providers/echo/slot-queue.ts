import type { Clock } from "../../core/clock.ts";
import { WaitingRoom } from "../../core/queues/waiting-room.ts";
import type { Waiter } from "../../core/queues/waiting-weights.ts";

/** Minimum milliseconds between two reports of positions. */
const NOTICE_MS = 500;

/** A place in the queue, or a slot once `position` is 0. */
export interface Ticket {
  /** 1 = next; 0 once the slot is held. */
  readonly position: number;
  /** Whether the place was lost to a request of another principal. */
  readonly displaced: boolean;
  /** Resolves when a slot or a new position was assigned or the place was lost, or on {@link leave}. */
  changed(): Promise<void>;
  /** Releases the slot or leaves the queue. Repeated calls have no effect. */
  leave(): void;
}

class Place implements Ticket, Waiter {
  readonly accountKey: string;
  readonly authenticated: boolean;
  position: number;
  reported: number;
  displaced = false;
  readonly #leave: (place: Place) => void;
  #wake: (() => void) | undefined;
  #changedSinceCall = false;
  #left = false;

  constructor(waiter: Waiter, position: number, leave: (place: Place) => void) {
    this.accountKey = waiter.accountKey;
    this.authenticated = waiter.authenticated;
    this.position = position;
    this.reported = position;
    this.#leave = leave;
  }

  async changed(): Promise<void> {
    if (!this.#changedSinceCall && !this.#left) await new Promise<void>((resolve) => (this.#wake = resolve));
    this.#changedSinceCall = false;
  }

  report(): void {
    this.reported = this.position;
    this.#changedSinceCall = true;
    this.#wake?.();
  }

  displace(): void {
    this.displaced = true;
    this.report();
  }

  leave(): void {
    if (this.#left) return;
    this.#left = true;
    this.#leave(this);
    this.#wake?.();
  }
}

/** A fixed number of slots with a bounded queue: first come, first served. */
export class SlotQueue {
  readonly #clock: Clock;
  readonly #room: WaitingRoom<Place>;
  /** In order of arrival. */
  readonly #waiting = new Set<Place>();
  #free: number;
  #noticeDue = false;

  /** @param limit maximum number of waiting requests */
  constructor(slots: number, limit: number, clock: Clock) {
    this.#free = slots;
    this.#room = new WaitingRoom(limit);
    this.#clock = clock;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /**
   * Returns a slot if one is free, otherwise a place in the queue. Null if the queue is full and the request has no
   * claim to the place of another principal.
   */
  enter(waiter: Waiter): Ticket | null {
    if (this.#free > 0) {
      this.#free--;
      return new Place(waiter, 0, this.#left);
    }
    const place = new Place(waiter, this.#waiting.size + 1, this.#left);
    const loser = this.#room.enter(place);
    if (loser === place) return null;
    this.#waiting.add(place);
    if (loser) {
      this.#remove(loser);
      loser.displace();
    }
    return place;
  }

  readonly #left = (place: Place): void => {
    if (place.displaced) return;
    if (!this.#remove(place)) this.#passOn();
  };

  #passOn(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#free++;
      return;
    }
    this.#remove(next);
    next.position = 0;
    next.report();
  }

  /** Removes a place from the queue. @returns whether it was waiting */
  #remove(place: Place): boolean {
    if (!this.#waiting.delete(place)) return false;
    this.#room.leave(place);
    if (this.#waiting.size > 0 && !this.#noticeDue) {
      this.#noticeDue = true;
      this.#clock.after(NOTICE_MS, this.#reportPositions);
    }
    return true;
  }

  // One timer for the whole queue: updating all positions on each change would take quadratic time.
  readonly #reportPositions = (): void => {
    this.#noticeDue = false;
    let position = 0;
    for (const place of this.#waiting) {
      place.position = ++position;
      if (place.position !== place.reported) place.report();
    }
  };
}
