import type { Clock } from "../../core/clock.ts";

/** Positions are told at most this often. */
const NOTICE_MS = 500;

/** A place in the queue or, once it has come to the front, a slot. */
export interface Ticket {
  /** 1 = next; 0 once the slot is held. */
  readonly position: number;
  /** Resolves when the slot is there or the position has changed since the last call, or with {@link leave}. */
  changed(): Promise<void>;
  /** Gives the slot or the place back; harmless when repeated. */
  leave(): void;
}

class Place implements Ticket {
  position: number;
  reported: number;
  readonly #leave: (place: Place) => void;
  #wake: (() => void) | undefined;
  #news = false;
  #left = false;

  constructor(position: number, leave: (place: Place) => void) {
    this.position = position;
    this.reported = position;
    this.#leave = leave;
  }

  async changed(): Promise<void> {
    if (!this.#news && !this.#left) await new Promise<void>((resolve) => (this.#wake = resolve));
    this.#news = false;
  }

  report(): void {
    this.reported = this.position;
    this.#news = true;
    this.#wake?.();
  }

  leave(): void {
    if (this.#left) return;
    this.#left = true;
    this.#leave(this);
    this.#wake?.();
  }
}

/** A number of slots and a bounded queue before them: first come, first served. */
export class SlotQueue {
  readonly #clock: Clock;
  readonly #limit: number;
  readonly #waiting: Place[] = [];
  #free: number;
  #noticeDue = false;

  /** @param limit how many may wait */
  constructor(slots: number, limit: number, clock: Clock) {
    this.#free = slots;
    this.#limit = limit;
    this.#clock = clock;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** A slot at once where one is free, else a place in the queue; null when the queue is full. */
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

  // One timer for the whole queue: a timer or a walk for each change would cost the square of its length.
  readonly #reportPositions = (): void => {
    this.#noticeDue = false;
    for (const [index, place] of this.#waiting.entries()) {
      place.position = index + 1;
      if (place.position !== place.reported) place.report();
    }
  };
}
