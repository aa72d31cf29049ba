/** One who holds bytes back and can be made to let go. */
export interface BufferHolder {
  /** Ends the socket in a way that lets its client come back and go on. */
  closeToFreeMemory(): void;
}

/**
 * Bytes that wait for slow readers, over all sockets. When they are too many, the socket that holds most has to go: its
 * answers are in their logs and can be resumed, while memory that is gone takes everybody down.
 */
export class BufferAccount {
  readonly #maxBytes: number;
  /** Only sockets that hold something, which are few. */
  readonly #held = new Map<BufferHolder, number>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Whether so much waits that nothing new should be begun. */
  get isNearlyFull(): boolean {
    return this.#bytes > this.#maxBytes * NEARLY;
  }

  /** What a socket holds now; 0 when it is gone. */
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

/** Above this share new messages are refused, so that those who read slowly have a chance to catch up. */
const NEARLY = 0.8;
