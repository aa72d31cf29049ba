import type { Clock } from "../../core/clock.ts";

/** Minimum milliseconds between two reports of positions. */
const NOTICE_MS = 500;

/** A place in the queue, or a slot once `position` is 0. */
export interface Ticket {
  /** 1 = next; 0 once the slot is held. */
  readonly position: number;
  /** Resolves when a slot or a new position was assigned since the last call, or on {@link leave}. */
  changed(): Promise<void>;
  /** Releases the slot or leaves the queue. Repeated calls have no effect. */
  leave(): void;
}

class Place implements Ticket {
  position: number;
  reported: number;
  readonly #leave: (place: Place) => void;
  #wake: (() => void) | undefined;
  #changedSinceCall = false;
  #left = false;

  constructor(position: number, leave: (place: Place) => void) {
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
  readonly #limit: number;
  readonly #waiting: Place[] = [];
  #free: number;
  #noticeDue = false;

  /** @param limit maximum number of waiting requests */
  constructor(slots: number, limit: number, clock: Clock) {
    this.#free = slots;
    this.#limit = limit;
    this.#clock = clock;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Returns a slot if one is free, otherwise a place in the queue. Null if the queue is full. */
  enter(): Ticket | null {
    if (this.#free > 0) {
      this.#free--;
      return new Place(0, this.#left);
    }
    if (this.#waiting.length >= this.#limit) return null;
    const place = new Place(this.#waiting.length + 1, this.#left);
    this.#waiting.push(place);
    return place;
  }

  readonly #left = (place: Place): void => {
    const index = place.position === 0 ? -1 : this.#waiting.indexOf(place);
    if (index !== -1) {
      this.#waiting.splice(index, 1);
    } else {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else {
        next.position = 0;
        next.report();
      }
    }
    if (this.#waiting.length === 0 || this.#noticeDue) return;
    this.#noticeDue = true;
    this.#clock.after(NOTICE_MS, this.#reportPositions);
  };

  // One timer for the whole queue: updating all positions on each change would take quadratic time.
  readonly #reportPositions = (): void => {
    this.#noticeDue = false;
    for (const [index, place] of this.#waiting.entries()) {
      place.position = index + 1;
      if (place.position !== place.reported) place.report();
    }
  };
}
