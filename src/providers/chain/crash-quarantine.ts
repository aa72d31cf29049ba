import type { StopSignal } from "../../core/stop-signal.ts";

/** A place in the line. */
export interface QuarantinePlace {
  /** How many are before it; 0: it is its turn. */
  readonly position: number;
  /** Waits for the turn. @throws the signal's reason */
  turn(signal: StopSignal): Promise<void>;
  /** Gives the place up, in the line or at its head. Without effect the second time. */
  leave(): void;
}

interface Waiting extends QuarantinePlace {
  admit(): void;
}

/**
 * One request at a time, in order. Those in flight at a death of the engine are all suspected of it: one after the other,
 * the request that crashes it is alone of them at the next death, and no other is in flight at two. Its length is bounded by what
 * was in flight.
 */
export class CrashQuarantine {
  /** The first one has its turn. */
  readonly #places: Waiting[] = [];

  /** Requests that wait for their turn. */
  get waiting(): number {
    return Math.max(0, this.#places.length - 1);
  }

  enter(): QuarantinePlace {
    const places = this.#places;
    let admit = (): void => {};
    const place: Waiting = {
      get position() {
        return places.indexOf(place);
      },
      admit: () => admit(),
      turn: (signal) =>
        new Promise((resolve, reject) => {
          if (signal.aborted) return reject(signal.reason);
          if (places[0] === place) return resolve();
          const onAbort = (): void => reject(signal.reason);
          signal.addEventListener("abort", onAbort, { once: true });
          admit = () => {
            signal.removeEventListener("abort", onAbort);
            resolve();
          };
        }),
      leave: () => {
        const index = places.indexOf(place);
        if (index < 0) return;
        places.splice(index, 1);
        if (index === 0) places[0]?.admit();
      },
    };
    places.push(place);
    return place;
  }
}
