import type { Clock } from "../../core/clock.ts";
import type { CostModel } from "../estimates/cost-model.ts";
import type { FairQueue } from "../scheduling/fair-queue.ts";
import type { RequestState } from "../generation/request-state.ts";
import type { ServiceRates } from "../estimates/service-rates.ts";
import type { Slot } from "../generation/slot.ts";
import { startTimes } from "../scheduling/start-times.ts";

const MIN_INTERVAL_MS = 500;
// Past this many a place is told with the next round, at most a step later: each place is a matter of all others.
const AT_ONCE = 256;
// What those who come later and overtake add to a wait is learned, within these bounds.
const DRIFT_WEIGHT = 0.1;
const MAX_DRIFT = 3;
const MIN_MEASURED_MS = 200;

/** Tells waiting requests their place: at once when they begin to wait, then on change, at most twice a second. */
export class QueuePositions {
  readonly #queue: FairQueue<RequestState>;
  readonly #slots: readonly Slot[];
  readonly #clock: Clock;
  readonly #rates: ServiceRates;
  readonly #cost: Pick<CostModel, "sequenceMs">;
  #reportedAt = Number.NEGATIVE_INFINITY;
  #drift = 1;

  constructor(
    queue: FairQueue<RequestState>,
    slots: readonly Slot[],
    clock: Clock,
    rates: ServiceRates,
    cost: Pick<CostModel, "sequenceMs">,
  ) {
    this.#queue = queue;
    this.#slots = slots;
    this.#clock = clock;
    this.#rates = rates;
    this.#cost = cost;
  }

  /** While somebody waits all slots are busy. */
  get #intervalMs(): number {
    return this.#rates.intervalMs(this.#slots.length, this.#cost.sequenceMs);
  }

  /** One has begun to wait. */
  added(request: RequestState): void {
    if (request.background) return;
    const free = this.#slots.filter((slot) => !slot.request).length;
    if (this.#queue.size <= free) return;
    if (this.#queue.size > AT_ONCE) this.#reportedAt = Number.NEGATIVE_INFINITY;
    else this.#report(free, (other) => other === request);
  }

  /** One has got a slot: how far was the first estimate off? */
  started({ firstEta, arrivedAt }: RequestState): void {
    if (firstEta === undefined || firstEta.waitMs < MIN_MEASURED_MS || firstEta.intervalMs === 0) return;
    // Steps have become longer or shorter since, which the estimates know by themselves.
    const expected = firstEta.waitMs * (this.#intervalMs / firstEta.intervalMs);
    const ratio = (this.#clock.now() - arrivedAt) / expected;
    const bounded = Math.min(Math.max(ratio, 1 / MAX_DRIFT), MAX_DRIFT);
    this.#drift *= (bounded / this.#drift) ** DRIFT_WEIGHT;
  }

  reportChanges(): void {
    const now = this.#clock.now();
    if (this.#queue.size === 0 || now - this.#reportedAt < MIN_INTERVAL_MS) return;
    this.#reportedAt = now;
    this.#report(0, (request, position) => {
      return request.reportedPosition !== position && now - request.reportedAt >= MIN_INTERVAL_MS;
    });
  }

  /** Milliseconds until about a quarter of the queue has been served; undefined while nothing is known. */
  retryAfterMs(): number | undefined {
    if (!this.#rates.known) return undefined;
    const jobs = this.#queue.inOrder(() => 1);
    return Math.round(this.#times(jobs)[Math.floor(jobs.length / 4)] ?? 0);
  }

  #report(free: number, chosen: (request: RequestState, position: number) => boolean): void {
    const order = this.#queue.inOrder((request) => this.#expectedTokens(request));
    const times = this.#rates.known ? this.#times(order) : [];
    const now = this.#clock.now();
    for (const [index, request] of order.entries()) {
      const position = index + 1 - free;
      if (position < 1 || !chosen(request, position)) continue;
      const raw = times[index];
      // A preempted one waits again: its reader is told, but it says nothing of how long others wait.
      if (request.reportedPosition === 0 && !request.started && raw !== undefined) {
        request.firstEta = { waitMs: raw, intervalMs: this.#intervalMs };
      }
      request.reportedPosition = position;
      request.reportedAt = now;
      request.events.queued(position, raw === undefined ? undefined : Math.round(raw * this.#drift));
    }
  }

  #expectedTokens({ promptTokens, generatedTokens, prepared }: RequestState): number {
    return promptTokens + this.#rates.lengths.remaining(generatedTokens, prepared.maxTokens);
  }

  #times(order: readonly RequestState[]): number[] {
    const rates = this.#rates;
    const intervalMs = this.#intervalMs;
    const freeIn = this.#slots.map(({ request, remaining }) => {
      if (!request || request.background) return 0;
      return rates.holdMs(remaining, request.generatedTokens, request.prepared.maxTokens, intervalMs);
    });
    const holds = order.map(({ promptTokens, generatedTokens, prepared }) =>
      rates.holdMs(promptTokens, generatedTokens, prepared.maxTokens, intervalMs),
    );
    return startTimes(freeIn, holds);
  }
}
