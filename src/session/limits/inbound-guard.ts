import type { Clock } from "../../core/clock.ts";
import type { ServiceError } from "../../core/errors.ts";
import type { ErrorCode } from "../../core/error-codes.ts";
import type { CloseReason } from "../../protocol/close-codes.ts";
import { SocketRates } from "./rate-limits.ts";
import type { SessionHost } from "../session-host.ts";

/** Why a socket has to go. */
export interface GuardDecision {
  readonly reason: CloseReason;
  readonly text: string;
}

/** Counts what comes in on one socket: how fast, and how often it was refused. */
export class InboundGuard {
  readonly #host: SessionHost;
  readonly #rates: SocketRates | null;
  #badFrames: BadFrameCounter | null = null;
  #breaches: BreachCounter | null = null;

  constructor(host: SessionHost) {
    this.#host = host;
    this.#rates = host.rates === null ? null : new SocketRates(host.rates);
  }

  /** Counts a frame by its type, or `invalid`; an error when it comes too fast to be taken. */
  admit(type: string): ServiceError | null {
    if (this.#rates === null) return null;
    return type === "ack" ? this.#rates.takeAck() : this.#rates.takeFrame();
  }

  /** Counts what a client was refused; a decision when it was too often. */
  refused(error: { readonly code: ErrorCode; readonly limit?: ServiceError["limit"] }): GuardDecision | null {
    const { metrics, clock, maxBadFrames } = this.#host;
    if (error.limit !== undefined) metrics.limitHit(error.limit);
    if (error.code === "rate_limited") {
      this.#breaches ??= new BreachCounter();
      if (this.#breaches.isLast(clock.now())) return { reason: "rateLimited", text: "rates were not heeded" };
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

/** So many breaches of a rate within the window close the socket with 4429. */
const MAX_BREACHES = 20;
const BREACH_WINDOW_MS = 10_000;

/** Tells a client that runs into a rate now and then from one that does not heed it. */
export class BreachCounter {
  /** Times of the last breaches, oldest first; at most {@link MAX_BREACHES}. */
  #times: number[] = [];

  /** Counts a breach at the time `now`; true when it is one too many. */
  isLast(now: number): boolean {
    this.#times.push(now);
    if (this.#times.length < MAX_BREACHES) return false;
    const oldest = this.#times.shift() as number;
    return now - oldest <= BREACH_WINDOW_MS;
  }
}

const BAD_FRAME_WINDOW_MS = 60_000;

/** Counts the bad frames of one socket in windows of a minute. */
export class BadFrameCounter {
  #windowStart = 0;
  #count = 0;

  /** True when this one is more than `limit` allows in a minute. */
  exceeds(limit: number, clock: Clock): boolean {
    const now = clock.now();
    if (this.#count === 0 || now - this.#windowStart >= BAD_FRAME_WINDOW_MS) {
      this.#windowStart = now;
      this.#count = 0;
    }
    return ++this.#count > limit;
  }
}
