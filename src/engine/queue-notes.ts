import type { Clock } from "../core/clock.ts";
import type { FairQueue } from "./fair-queue.ts";
import type { Generation } from "./generation.ts";

const LEAST_INTERVAL_MS = 500;
const WEIGHT = 0.1;

/** Tokens it is expected to be charged; half of the answer's limit until more is known. */
function expectedCost(generation: Generation): number {
  return generation.promptTokens + generation.request.maxTokens / 2;
}

/** Tells waiting requests their place: at once when they begin to wait, then on change, at most twice a second. */
export class QueueNotes {
  private readonly queue: FairQueue<Generation>;
  private readonly slots: number;
  private readonly clock: Clock;
  private toldAt = 0;
  /** Smoothed time that a request holds a slot. */
  private serviceMs: number | undefined;

  constructor(queue: FairQueue<Generation>, slots: number, clock: Clock) {
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
    for (const generation of this.queue.inOrder(expectedCost)) {
      position++;
      if (generation.toldPosition !== position) this.tell(generation, position);
    }
  }
}
