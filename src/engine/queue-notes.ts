import type { Clock } from "../core/clock.ts";
import type { Generation } from "./generation.ts";
import type { RequestQueue } from "./request-queue.ts";

const LEAST_INTERVAL_MS = 500;
const WEIGHT = 0.1;

/** Tells waiting requests their place: at once when they begin to wait, then on change, at most twice a second. */
export class QueueNotes {
  private readonly queue: RequestQueue<Generation>;
  private readonly slots: number;
  private readonly clock: Clock;
  private toldAt = 0;
  /** Smoothed time that a request holds a slot. */
  private serviceMs: number | undefined;

  constructor(queue: RequestQueue<Generation>, slots: number, clock: Clock) {
    this.queue = queue;
    this.slots = slots;
    this.clock = clock;
  }

  observeService(ms: number): void {
    this.serviceMs = this.serviceMs === undefined ? ms : this.serviceMs + WEIGHT * (ms - this.serviceMs);
  }

  /** Milliseconds until the request at `position` has a slot; unknown before the first answer. */
  etaMs(position: number): number | undefined {
    return this.serviceMs === undefined ? undefined : Math.round((this.serviceMs * position) / this.slots);
  }

  tell(generation: Generation, position: number): void {
    generation.toldPosition = position;
    generation.events.queued(position, this.etaMs(position));
  }

  tellChanges(): void {
    const now = this.clock.now();
    if (this.queue.size === 0 || now - this.toldAt < LEAST_INTERVAL_MS) return;
    this.toldAt = now;
    let position = 0;
    for (const generation of this.queue.values()) {
      position++;
      if (generation.toldPosition !== position) this.tell(generation, position);
    }
  }
}
