import type { Clock } from "../../core/clock.ts";
import type { CostModel } from "../estimates/cost-model.ts";
import type { FairQueue } from "../scheduling/fair-queue.ts";
import type { RequestState } from "../generation/request-state.ts";
import type { ServiceRates } from "../estimates/service-rates.ts";
import type { Slot } from "../generation/slot.ts";
import { startTimes } from "../scheduling/start-times.ts";

/** Shortest time between two reports to one request, in milliseconds. */
const MIN_INTERVAL_MS = 500;
/**
 * Longest queue, in requests, in which the position of a new request is reported at once. Positions are computed for
 * the whole queue, so a longer queue is reported in the next round, at most one step later.
 */
const MAX_IMMEDIATE = 256;
/** Weight of one measured wait in the drift: the factor by which later requests that overtake lengthen a wait. */
const DRIFT_WEIGHT = 0.1;
/** Upper bound of the drift; its inverse is the lower bound. */
const MAX_DRIFT = 3;
/** Shortest estimate that the drift is learned from, in milliseconds. */
const MIN_MEASURED_MS = 200;

/**
 * Reports queue positions to waiting requests: at once when they begin to wait, then changes at most twice a second.
 */
export class QueuePositions {
  readonly #queue: FairQueue<RequestState>;
  readonly #slots: readonly Slot[];
  readonly #clock: Clock;
  readonly #rates: ServiceRates;
  readonly #cost: Pick<CostModel, "sequenceMs">;
  #reportedAt = Number.NEGATIVE_INFINITY;
  #drift = 1;
  #retryAfterMs: number | undefined;
  #retryAfterAt = Number.NEGATIVE_INFINITY;

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

  /** Expected time between two tokens with all slots busy, as they are while a request waits. */
  get #intervalMs(): number {
    return this.#rates.intervalMs(this.#slots.length, this.#cost.sequenceMs);
  }

  /** Reports the position of a request that was just queued, unless a slot is free for it. */
  added(request: RequestState): void {
    if (request.background) return;
    const free = this.#slots.filter((slot) => !slot.request).length;
    if (this.#queue.size <= free) return;
    if (this.#queue.size > MAX_IMMEDIATE) this.#reportedAt = Number.NEGATIVE_INFINITY;
    else this.#report(free, (other) => other === request);
  }

  /** Learns from a request that got its first slot how far its first estimate was off. */
  started({ firstEta, arrivedAt }: RequestState): void {
    if (firstEta === undefined || firstEta.waitMs < MIN_MEASURED_MS || firstEta.intervalMs === 0) return;
    // Estimates follow the length of steps already, so a change of it must not count as drift.
    const expected = firstEta.waitMs * (this.#intervalMs / firstEta.intervalMs);
    const ratio = (this.#clock.now() - arrivedAt) / expected;
    const bounded = Math.min(Math.max(ratio, 1 / MAX_DRIFT), MAX_DRIFT);
    this.#drift *= (bounded / this.#drift) ** DRIFT_WEIGHT;
  }

  /** Reports positions that have changed. */
  reportChanges(): void {
    const now = this.#clock.now();
    if (this.#queue.size === 0 || now - this.#reportedAt < MIN_INTERVAL_MS) return;
    this.#reportedAt = now;
    this.#report(0, (request, position) => {
      return request.reportedPosition !== position && now - request.reportedAt >= MIN_INTERVAL_MS;
    });
  }

  /**
   * Milliseconds until about a quarter of the queue has been served; undefined while the rates are unknown. Computed at
   * most twice a second: a full queue may refuse thousands of requests in that time, and each would cost a sort.
   */
  retryAfterMs(): number | undefined {
    if (!this.#rates.known) return undefined;
    const now = this.#clock.now();
    if (now - this.#retryAfterAt >= MIN_INTERVAL_MS) {
      const jobs = this.#queue.inOrder(() => 1);
      this.#retryAfterMs = Math.round(this.#times(jobs)[Math.floor(jobs.length / 4)] ?? 0);
      this.#retryAfterAt = now;
    }
    return this.#retryAfterMs;
  }

  #report(free: number, isDue: (request: RequestState, position: number) => boolean): void {
    const order = this.#queue.inOrder((request) => this.#expectedTokens(request));
    const times = this.#rates.known ? this.#times(order) : [];
    const now = this.#clock.now();
    for (const [index, request] of order.entries()) {
      const position = index + 1 - free;
      if (position < 1 || !isDue(request, position)) continue;
      const raw = times[index];
      // The wait of a preempted request is reported, but the drift is not learned from it.
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

  /** Milliseconds until each request gets a slot. */
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
