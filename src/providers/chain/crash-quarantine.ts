import type { StopSignal } from "../../core/stop-signal.ts";

/** A place in the quarantine queue. */
export interface QuarantinePlace {
  /** Number of requests ahead; 0: this request may run. */
  readonly position: number;
  /** Waits until this request may run. @throws the signal's reason */
  turn(signal: StopSignal): Promise<void>;
  /** Leaves the queue, also while running. Repeated calls have no effect. */
  leave(): void;
}

interface Waiting extends QuarantinePlace {
  admit(): void;
}

/**
 * Runs suspect requests one at a time, in order. All requests in flight at an engine crash are suspected of causing it.
 * Since they are retried one by one, the request that crashes the engine again is the only suspect in flight at the
 * second crash, and no other request is in flight at two crashes. The length is bounded by the number of requests in
 * flight.
 */
export class CrashQuarantine {
  /** The first place is running. */
  readonly #places: Waiting[] = [];

  /** Number of requests that wait. */
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
