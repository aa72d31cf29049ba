import type { SendFrame } from "./pending-answers.ts";

/** Minimum time between two `ack` frames of one answer, unless {@link ACK_BYTES} more were shown. */
const ACK_INTERVAL_MS = 100;
/** Bytes of shown text after which an `ack` is sent at once. */
const ACK_BYTES = 8_192;

/** Offsets into one answer, in UTF-8 bytes. */
interface Offsets {
  shown: number;
  acked: number;
}

/**
 * Acknowledges the text of each answer that was shown, so that the server can limit the text in flight. Sends at most
 * one `ack` per answer and 100 ms or 8 KiB; progress in between is merged into the next one.
 */
export class AckSender {
  readonly #after: (ms: number, callback: () => void) => () => void;
  readonly #send: SendFrame;
  readonly #answers = new Map<string, Offsets>();
  #stopTimer: (() => void) | undefined;

  constructor(after: (ms: number, callback: () => void) => () => void, send: SendFrame) {
    this.#after = after;
    this.#send = send;
  }

  /** Records that `answer` was shown up to the offset `to`. */
  shown(answer: string, to: number): void {
    let offsets = this.#answers.get(answer);
    if (offsets === undefined) {
      offsets = { shown: to, acked: 0 };
      this.#answers.set(answer, offsets);
    }
    offsets.shown = to;
    if (to - offsets.acked >= ACK_BYTES) this.#emit(answer, offsets);
    else this.#stopTimer ??= this.#after(ACK_INTERVAL_MS, () => this.#emitAll());
  }

  /** Stops acknowledging an answer that has ended. */
  finished(answer: string): void {
    this.#answers.delete(answer);
  }

  /** Drops all state when the socket has closed. The next socket sends the offsets with `resume`. */
  reset(): void {
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    this.#answers.clear();
  }

  #emitAll(): void {
    this.#stopTimer = undefined;
    for (const [answer, offsets] of this.#answers) {
      if (offsets.shown > offsets.acked) this.#emit(answer, offsets);
    }
  }

  #emit(answer: string, offsets: Offsets): void {
    offsets.acked = offsets.shown;
    this.#send({ type: "ack", answer, to: offsets.shown });
  }
}
