import type { Clock } from "../../core/clock.ts";

/** A socket with unsent bytes. */
export interface BufferHolder {
  /** Account key of the address that is charged. */
  readonly address: string;
  /** Closes the socket at once and releases its bytes; its client can reconnect and resume. */
  closeToFreeMemory(): void;
}

interface Held {
  bytes: number;
  /** Bytes sent since `since`. */
  sent: number;
  /** `Clock.now()` when the last {@link MIN_SENT_BYTES} were sent, or when the first bytes were added. */
  since: number;
}

/** Default share of the limit that the sockets of one address can hold. */
const ADDRESS_SHARE = 1 / 4;

/** Share of the limit above which stalled sockets are closed and then new messages are refused. */
const NEARLY_FULL_SHARE = 0.8;

/** Milliseconds without sending any of its bytes after which a socket counts as stalled. */
const STALLED_MS = 5000;

/** Bytes that a socket must send in this time. A reader that takes a little now and then must not hold memory. */
const MIN_SENT_BYTES = 16_384;

/** Minimum time between two searches for stalled sockets, in milliseconds: a search visits all holders. */
const SEARCH_INTERVAL_MS = 100;

/**
 * Unsent bytes of all sockets. Each address has a share of the limit; above it, the socket of the address that holds
 * the most is cut. Above 80 % of the limit, stalled sockets are cut, the largest first, before messages are refused.
 * Above the limit, the socket that holds the most is cut. The answers of a cut socket stay in their logs and can be
 * resumed, while running out of memory would end all connections.
 */
export class BufferAccount {
  readonly #maxBytes: number;
  readonly #maxBytesPerAddress: number;
  readonly #clock: Clock;
  /** Only the few sockets that hold any bytes. */
  readonly #held = new Map<BufferHolder, Held>();
  readonly #byAddress = new Map<string, number>();
  #bytes = 0;
  #searchedAt = -Infinity;

  /** `addressShare`: share of `maxBytes` that the sockets of one address can hold. */
  constructor(maxBytes: number, clock: Clock, addressShare = ADDRESS_SHARE) {
    this.#maxBytes = maxBytes;
    this.#maxBytesPerAddress = maxBytes * addressShare;
    this.#clock = clock;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Closes stalled sockets if more than `share` of the limit is unsent. Returns whether new messages, or replies that
   * may take no more than that share, must be refused nevertheless.
   */
  relieve(share = NEARLY_FULL_SHARE): boolean {
    const comfortable = this.#maxBytes * share;
    if (this.#bytes <= comfortable) return false;
    this.#closeStalled(comfortable);
    return this.#bytes > comfortable;
  }

  /** Sets the number of bytes that a socket holds now; 0 when it is closed. */
  set(holder: BufferHolder, bytes: number): void {
    const held = this.#held.get(holder);
    const before = held?.bytes ?? 0;
    if (bytes === before) return;
    this.#charge(holder.address, bytes - before);
    if (bytes === 0) this.#held.delete(holder);
    else if (held === undefined) this.#held.set(holder, { bytes, sent: 0, since: this.#clock.now() });
    else {
      held.sent += Math.max(0, before - bytes);
      if (held.sent >= MIN_SENT_BYTES) {
        held.sent = 0;
        held.since = this.#clock.now();
      }
      held.bytes = bytes;
    }
    if (bytes < before) return;
    if ((this.#byAddress.get(holder.address) ?? 0) > this.#maxBytesPerAddress)
      this.#largest(holder.address)?.closeToFreeMemory();
    else if (this.#bytes > this.#maxBytes) this.#largest()?.closeToFreeMemory();
    else this.relieve();
  }

  #charge(address: string, delta: number): void {
    this.#bytes += delta;
    const bytes = (this.#byAddress.get(address) ?? 0) + delta;
    if (bytes === 0) this.#byAddress.delete(address);
    else this.#byAddress.set(address, bytes);
  }

  #closeStalled(target: number): void {
    const now = this.#clock.now();
    if (now - this.#searchedAt < SEARCH_INTERVAL_MS) return;
    this.#searchedAt = now;
    const stalled = [...this.#held]
      .filter(([, { since }]) => now - since > STALLED_MS)
      .toSorted(([, a], [, b]) => b.bytes - a.bytes);
    for (const [holder] of stalled) {
      if (this.#bytes <= target) return;
      holder.closeToFreeMemory();
    }
  }

  /** The socket that holds most, of one address or of all. */
  #largest(address?: string): BufferHolder | undefined {
    let largest: BufferHolder | undefined;
    let most = 0;
    for (const [holder, { bytes }] of this.#held) {
      if (bytes > most && (address === undefined || holder.address === address))
        [largest, most] = [holder, bytes];
    }
    return largest;
  }
}
