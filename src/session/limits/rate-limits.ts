import { BucketTable } from "../../core/bucket-table.ts";
import type { Clock } from "../../core/clock.ts";
import { ServiceError } from "../../core/errors.ts";
import type { LimitName } from "../../core/limits.ts";
import type { Principal } from "../../core/principal.ts";
import { TokenBucket, type TokenRate } from "../../core/token-bucket.ts";

export interface RateLimitOptions {
  /** Frames a second of one socket, without `ack` frames. */
  readonly framesPerSecond: number;
  readonly acksPerSecond: number;
  /** Messages and commands of one client. */
  readonly messagesPerMinute: number;
  /** Of all anonymous clients of one address together. */
  readonly messagesPerMinutePerAddress: number;
  readonly clock: Clock;
}

/** Clients and addresses whose rates are remembered: past it the one unused for longest starts anew. */
const MAX_KEYS = 100_000;

/** Seconds of its rate that a socket may use at once: people and pages come in bursts. */
const BURST_SECONDS = 2;

/** The rates of a whole service. Absent altogether with RATE_LIMITS=off. */
export class RateLimits {
  readonly clock: Clock;
  readonly frames: TokenRate;
  readonly acks: TokenRate;
  readonly #clients: BucketTable;
  readonly #addresses: BucketTable;

  constructor(options: RateLimitOptions) {
    this.clock = options.clock;
    this.frames = aSecond(options.framesPerSecond);
    this.acks = aSecond(options.acksPerSecond);
    this.#clients = new BucketTable(aMinute(options.messagesPerMinute), MAX_KEYS, options.clock);
    this.#addresses = new BucketTable(aMinute(options.messagesPerMinutePerAddress), MAX_KEYS, options.clock);
  }

  /** Clients and addresses with a budget that is not full. */
  get size(): number {
    return this.#clients.size + this.#addresses.size;
  }

  /** Counts one message. @throws ServiceError `rate_limited`; nothing but the budget has changed then. */
  takeMessage({ authenticated, client, accountKey }: Principal): void {
    const wait = this.#clients.take(client);
    if (wait > 0) throw rateLimited("message_rate", wait);
    // A subject has one budget wherever it is; anonymous sessions are free to make, so their address has one too.
    const addressWait = authenticated ? 0 : this.#addresses.take(accountKey);
    if (addressWait > 0) throw rateLimited("address_message_rate", addressWait);
  }
}

/** The rates of one socket. */
export class SocketRates {
  readonly #limits: RateLimits;
  readonly #frames: TokenBucket;
  #acks: TokenBucket | null = null;

  constructor(limits: RateLimits) {
    this.#limits = limits;
    this.#frames = new TokenBucket(limits.frames);
  }

  /** Counts a frame that is no `ack`; null when it may pass. */
  takeFrame(): ServiceError | null {
    const wait = this.#frames.take(this.#limits.clock.now());
    return wait === 0 ? null : rateLimited("frame_rate", wait);
  }

  takeAck(): ServiceError | null {
    this.#acks ??= new TokenBucket(this.#limits.acks);
    const wait = this.#acks.take(this.#limits.clock.now());
    return wait === 0 ? null : rateLimited("ack_rate", wait);
  }
}

const words: Readonly<Partial<Record<LimitName, string>>> = {
  frame_rate: "Frames of this connection",
  ack_rate: "ack frames of this connection",
  message_rate: "Your messages",
  address_message_rate: "Messages of anonymous clients at your address",
};

/** Says when to come back. */
export function rateLimited(limit: LimitName, waitMs: number): ServiceError {
  const retryAfterMs = Math.ceil(waitMs);
  const what = words[limit] ?? "Requests";
  return new ServiceError("rate_limited", `${what} come too fast; wait ${retryAfterMs} ms.`, {
    retryAfterMs,
    limit,
  });
}

function aSecond(count: number): TokenRate {
  return { perSecond: count, burst: count * BURST_SECONDS };
}

function aMinute(count: number): TokenRate {
  return { perSecond: count / 60, burst: count };
}
