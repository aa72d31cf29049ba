import type { ServiceError } from "../core/errors.ts";
import type { ErrorCode } from "../core/error-codes.ts";
import type { CloseReason } from "../protocol/close-codes.ts";
import { BadFrameCounter } from "./bad-frame-counter.ts";
import { BreachCounter } from "./breach-counter.ts";
import { SocketRates } from "./rate-limits.ts";
import type { SessionHost } from "./session-host.ts";

/** Why a socket has to go. */
export interface GuardVerdict {
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

  /** Counts what a client was refused; a verdict when it was too often. */
  refused(error: { readonly code: ErrorCode; readonly limit?: ServiceError["limit"] }): GuardVerdict | null {
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
