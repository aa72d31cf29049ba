/** A socket with unsent bytes. */
export interface BufferHolder {
  /** Closes the socket to release its bytes; its client can reconnect and resume. */
  closeToFreeMemory(): void;
}

/**
 * Unsent bytes of all sockets. Over the limit the socket that holds most is closed: its answers stay in their logs and
 * can be resumed, while running out of memory would end all connections.
 */
export class BufferAccount {
  readonly #maxBytes: number;
  /** Bytes by socket; only the few sockets that hold any. */
  readonly #held = new Map<BufferHolder, number>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Whether so many bytes are unsent that new messages should be refused. */
  get isNearlyFull(): boolean {
    return this.#bytes > this.#maxBytes * NEARLY_FULL_SHARE;
  }

  /** Sets the number of bytes that a socket holds now; 0 when it is closed. */
  set(holder: BufferHolder, bytes: number): void {
    const before = this.#held.get(holder) ?? 0;
    if (bytes === before) return;
    this.#bytes += bytes - before;
    if (bytes === 0) this.#held.delete(holder);
    else this.#held.set(holder, bytes);
    if (bytes > before && this.#bytes > this.#maxBytes) this.#largest()?.closeToFreeMemory();
  }

  #largest(): BufferHolder | undefined {
    let largest: BufferHolder | undefined;
    let most = 0;
    for (const [holder, bytes] of this.#held) {
      if (bytes > most) [largest, most] = [holder, bytes];
    }
    return largest;
  }
}

/** Share of the limit above which new messages are refused, so that slow readers can catch up. */
const NEARLY_FULL_SHARE = 0.8;
