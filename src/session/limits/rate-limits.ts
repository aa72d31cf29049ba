import { BucketTable } from "../../core/bucket-table.ts";
import type { Clock } from "../../core/clock.ts";
import { ServiceError } from "../../core/errors.ts";
import type { LimitName } from "../../core/limits.ts";
import type { Principal } from "../../core/principal.ts";
import { perMinute, TokenBucket, type TokenRate } from "../../core/token-bucket.ts";

/** Rates of sockets, clients and addresses. */
export interface RateLimitOptions {
  /** Frames of one socket, without `ack` frames. */
  readonly framesPerSecond: number;
  /** `ack` frames of one socket. */
  readonly acksPerSecond: number;
  /** Messages and commands of one client. */
  readonly messagesPerMinute: number;
  /** Messages and commands of all anonymous clients of one address together. */
  readonly messagesPerMinutePerAddress: number;
  readonly clock: Clock;
}

/** Maximum number of clients, and of addresses, with a budget. Over it the least recently used budget is dropped. */
const MAX_KEYS = 100_000;

/** Seconds of its rate that a socket may use at once: the frames of a page come in bursts. */
const BURST_SECONDS = 2;

/** The rate limits of the whole service. With RATE_LIMITS=off there is no such object. */
export class RateLimits {
  readonly clock: Clock;
  readonly frames: TokenRate;
  readonly acks: TokenRate;
  readonly #clients: BucketTable;
  readonly #addresses: BucketTable;

  constructor(options: RateLimitOptions) {
    this.clock = options.clock;
    this.frames = perSecond(options.framesPerSecond);
    this.acks = perSecond(options.acksPerSecond);
    this.#clients = new BucketTable(perMinute(options.messagesPerMinute), MAX_KEYS, options.clock);
    this.#addresses = new BucketTable(
      perMinute(options.messagesPerMinutePerAddress),
      MAX_KEYS,
      options.clock,
    );
  }

  /** Number of clients and addresses whose budget is not full. */
  get size(): number {
    return this.#clients.size + this.#addresses.size;
  }

  /** Counts one message. @throws ServiceError `rate_limited` */
  takeMessage({ authenticated, client, accountKey }: Principal): void {
    const wait = this.#clients.take(client);
    if (wait > 0) throw rateLimited("message_rate", wait);
    // A client can open any number of anonymous sessions, so these are limited by their address as well.
    const addressWait = authenticated ? 0 : this.#addresses.take(accountKey);
    if (addressWait > 0) throw rateLimited("address_message_rate", addressWait);
  }
}

/** The budgets of one socket. */
export class SocketRates {
  readonly #limits: RateLimits;
  readonly #frames: TokenBucket;
  #acks: TokenBucket | null = null;

  constructor(limits: RateLimits) {
    this.#limits = limits;
    this.#frames = new TokenBucket(limits.frames);
  }

  /** Counts a frame other than `ack`. Returns an error if it exceeds the rate. */
  takeFrame(): ServiceError | null {
    const wait = this.#frames.take(this.#limits.clock.now());
    return wait === 0 ? null : rateLimited("frame_rate", wait);
  }

  /** Counts an `ack` frame. Returns an error if it exceeds the rate. */
  takeAck(): ServiceError | null {
    this.#acks ??= new TokenBucket(this.#limits.acks);
    const wait = this.#acks.take(this.#limits.clock.now());
    return wait === 0 ? null : rateLimited("ack_rate", wait);
  }
}

/** Noun for the message of an exceeded limit. */
const nouns: Readonly<Partial<Record<LimitName, string>>> = {
  frame_rate: "frames on this connection",
  ack_rate: "ack frames on this connection",
  message_rate: "messages",
  address_message_rate: "messages from anonymous clients at your address",
};

/** The error of a refused frame or message, with the milliseconds to wait. */
export function rateLimited(limit: LimitName, waitMs: number): ServiceError {
  const retryAfterMs = Math.ceil(waitMs);
  const noun = nouns[limit] ?? "requests";
  return new ServiceError("rate_limited", `Too many ${noun}; wait ${retryAfterMs} ms.`, {
    retryAfterMs,
    limit,
  });
}

function perSecond(count: number): TokenRate {
  return { perSecond: count, burst: count * BURST_SECONDS };
}
