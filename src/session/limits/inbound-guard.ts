import type { Clock } from "../../core/clock.ts";
import type { ServiceError } from "../../core/errors.ts";
import type { ErrorCode } from "../../core/error-codes.ts";
import type { Metrics } from "../../core/metrics.ts";
import type { CloseReason } from "../../protocol/close-codes.ts";
import { SocketRates, type RateLimits } from "./rate-limits.ts";

/** What the inbound limits need; shared by all sessions. */
export interface GuardHost {
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** Null with RATE_LIMITS=off. */
  readonly rates: RateLimits | null;
  /** Maximum number of bad frames of one socket within a minute. */
  readonly maxBadFrames: number;
}

/** Why a socket must be closed. */
export interface GuardDecision {
  readonly reason: CloseReason;
  readonly text: string;
}

/** Limits the frames of one socket: their rate, and the number of refusals. */
export class InboundGuard {
  readonly #host: GuardHost;
  readonly #rates: SocketRates | null;
  #badFrames: BadFrameCounter | null = null;
  #breaches: BreachCounter | null = null;

  constructor(host: GuardHost) {
    this.#host = host;
    this.#rates = host.rates === null ? null : new SocketRates(host.rates);
  }

  /** Counts a frame by its type, or as `invalid`. Returns an error if it exceeds the rate. */
  admit(type: string): ServiceError | null {
    if (this.#rates === null) return null;
    return type === "ack" ? this.#rates.takeAck() : this.#rates.takeFrame();
  }

  /** Counts a refusal. Returns a decision if the socket must be closed for too many of them. */
  refused(error: { readonly code: ErrorCode; readonly limit?: ServiceError["limit"] }): GuardDecision | null {
    const { metrics, clock, maxBadFrames } = this.#host;
    if (error.limit !== undefined) metrics.limitHit(error.limit);
    if (error.code === "rate_limited") {
      this.#breaches ??= new BreachCounter();
      if (this.#breaches.isLast(clock.now()))
        return { reason: "rateLimited", text: "rate limits were ignored" };
    }
    if (error.code === "bad_frame") {
      this.#badFrames ??= new BadFrameCounter();
      if (this.#badFrames.exceeds(maxBadFrames, clock)) {
        metrics.limitHit("bad_frames");
        return { reason: "policy", text: "too many bad frames" };
      }
    }
    return null;
  }
}

/** Number of rate breaches within the window that closes the socket with 4429. */
const MAX_BREACHES = 20;

/** Window of the rate breaches, in milliseconds. */
const BREACH_WINDOW_MS = 10_000;

/** Distinguishes a client that occasionally exceeds a rate from one that ignores it. */
export class BreachCounter {
  /** Times of the last breaches, oldest first; at most {@link MAX_BREACHES}. */
  #times: number[] = [];

  /** Counts a breach at the time `now`. Returns true if the socket must be closed. */
  isLast(now: number): boolean {
    this.#times.push(now);
    if (this.#times.length < MAX_BREACHES) return false;
    const oldest = this.#times.shift() as number;
    return now - oldest <= BREACH_WINDOW_MS;
  }
}

/** Window of the bad frames, in milliseconds. */
const BAD_FRAME_WINDOW_MS = 60_000;

/** Counts the bad frames of one socket in windows of a minute. */
export class BadFrameCounter {
  #windowStart = 0;
  #count = 0;

  /** Counts a bad frame. Returns true if there are more than `limit` in the current window. */
  exceeds(limit: number, clock: Clock): boolean {
    const now = clock.now();
    if (this.#count === 0 || now - this.#windowStart >= BAD_FRAME_WINDOW_MS) {
      this.#windowStart = now;
      this.#count = 0;
    }
    return ++this.#count > limit;
  }
}
