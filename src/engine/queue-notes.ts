import type { Clock } from "../core/clock.ts";
import type { CostModel } from "./cost-model.ts";
import type { FairQueue } from "./fair-queue.ts";
import type { Generation } from "./generation.ts";
import type { ServiceRates } from "./service-rates.ts";
import type { Slot } from "./slot.ts";
import { startTimes } from "./start-times.ts";

const LEAST_INTERVAL_MS = 500;
// Past this many a place is told with the next round, at most a step later: each place is a matter of all others.
const AT_ONCE = 256;
// What those who come later and overtake add to a wait is learned, within these bounds.
const DRIFT_WEIGHT = 0.1;
const MOST_DRIFT = 3;
const LEAST_MEASURED_MS = 200;

/** Tells waiting requests their place: at once when they begin to wait, then on change, at most twice a second. */
export class QueueNotes {
  private readonly queue: FairQueue<Generation>;
  private readonly slots: readonly Slot[];
  private readonly clock: Clock;
  private readonly rates: ServiceRates;
  private readonly cost: Pick<CostModel, "sequenceMs">;
  private toldAt = Number.NEGATIVE_INFINITY;
  private drift = 1;

  constructor(
    queue: FairQueue<Generation>,
    slots: readonly Slot[],
    clock: Clock,
    rates: ServiceRates,
    cost: Pick<CostModel, "sequenceMs">,
  ) {
    this.queue = queue;
    this.slots = slots;
    this.clock = clock;
    this.rates = rates;
    this.cost = cost;
  }

  /** While somebody waits all slots are busy. */
  private get intervalMs(): number {
    return this.rates.intervalMs(this.slots.length, this.cost.sequenceMs);
  }

  /** One has begun to wait. */
  added(generation: Generation): void {
    if (generation.background) return;
    const free = this.slots.filter((slot) => !slot.generation).length;
    if (this.queue.size <= free) return;
    if (this.queue.size > AT_ONCE) this.toldAt = Number.NEGATIVE_INFINITY;
    else this.tell(free, (other) => other === generation);
  }

  /** One has got a slot: how far was the first estimate off? */
  started({ firstEta, arrivedAt }: Generation): void {
    if (firstEta === undefined || firstEta.waitMs < LEAST_MEASURED_MS || firstEta.intervalMs === 0) return;
    // Steps have become longer or shorter since, which the estimates know by themselves.
    const expected = firstEta.waitMs * (this.intervalMs / firstEta.intervalMs);
    const ratio = (this.clock.now() - arrivedAt) / expected;
    const bounded = Math.min(Math.max(ratio, 1 / MOST_DRIFT), MOST_DRIFT);
    this.drift *= (bounded / this.drift) ** DRIFT_WEIGHT;
  }

  tellChanges(): void {
    const now = this.clock.now();
    if (this.queue.size === 0 || now - this.toldAt < LEAST_INTERVAL_MS) return;
    this.toldAt = now;
    this.tell(0, (generation, position) => {
      return generation.toldPosition !== position && now - generation.toldAt >= LEAST_INTERVAL_MS;
    });
  }

  /** Milliseconds until about a quarter of the queue has been served; undefined while nothing is known. */
  comeBackMs(): number | undefined {
    if (!this.rates.known) return undefined;
    const jobs = this.queue.inOrder(() => 1);
    return Math.round(this.times(jobs)[Math.floor(jobs.length / 4)] ?? 0);
  }

  private tell(free: number, chosen: (generation: Generation, position: number) => boolean): void {
    const order = this.queue.inOrder((generation) => this.expectedTokens(generation));
    const times = this.rates.known ? this.times(order) : [];
    const now = this.clock.now();
    for (const [index, generation] of order.entries()) {
      const position = index + 1 - free;
      if (position < 1 || !chosen(generation, position)) continue;
      const raw = times[index];
      // A parked one waits again: its reader is told, but it says nothing of how long others wait.
      if (generation.toldPosition === 0 && !generation.started && raw !== undefined) {
        generation.firstEta = { waitMs: raw, intervalMs: this.intervalMs };
      }
      generation.toldPosition = position;
      generation.toldAt = now;
      generation.events.queued(position, raw === undefined ? undefined : Math.round(raw * this.drift));
    }
  }

  private expectedTokens({ promptTokens, generatedTokens, request }: Generation): number {
    return promptTokens + this.rates.lengths.remaining(generatedTokens, request.maxTokens);
  }

  private times(order: readonly Generation[]): number[] {
    const { rates, intervalMs } = this;
    const freeIn = this.slots.map(({ generation, remaining }) => {
      if (!generation || generation.background) return 0;
      return rates.holdMs(remaining, generation.generatedTokens, generation.request.maxTokens, intervalMs);
    });
    const holds = order.map(({ promptTokens, generatedTokens, request }) =>
      rates.holdMs(promptTokens, generatedTokens, request.maxTokens, intervalMs),
    );
    return startTimes(freeIn, holds);
  }
}
