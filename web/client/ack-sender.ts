import type { SendFrame } from "./pending-answers.ts";

/** The contract asks for no more than this. */
const ACK_INTERVAL_MS = 100;
const ACK_BYTES = 8_192;

interface Shown {
  to: number;
  sentTo: number;
}

/**
 * Tells the server how far each answer was shown, so that it never has more on the way than a reader takes. At most one
 * `ack` per 100 ms or 8 KiB and answer; what comes between is merged into the next.
 */
export class AckSender {
  readonly #after: (ms: number, callback: () => void) => () => void;
  readonly #send: SendFrame;
  readonly #answers = new Map<string, Shown>();
  #stopTimer: (() => void) | undefined;

  constructor(after: (ms: number, callback: () => void) => () => void, send: SendFrame) {
    this.#after = after;
    this.#send = send;
  }

  /** `answer` was shown up to the offset `to`. */
  shown(answer: string, to: number): void {
    let shown = this.#answers.get(answer);
    if (shown === undefined) {
      shown = { to, sentTo: 0 };
      this.#answers.set(answer, shown);
    }
    shown.to = to;
    if (to - shown.sentTo >= ACK_BYTES) this.#emit(answer, shown);
    else this.#stopTimer ??= this.#after(ACK_INTERVAL_MS, () => this.#emitAll());
  }

  /** The answer is over: its closing frame says more than an `ack`. */
  finished(answer: string): void {
    this.#answers.delete(answer);
  }

  /** The socket is gone; what was shown is told to the next one with `resume`. */
  reset(): void {
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    this.#answers.clear();
  }

  #emitAll(): void {
    this.#stopTimer = undefined;
    for (const [answer, shown] of this.#answers) {
      if (shown.to > shown.sentTo) this.#emit(answer, shown);
    }
  }

  #emit(answer: string, shown: Shown): void {
    shown.sentTo = shown.to;
    this.#send({ type: "ack", answer, to: shown.to });
  }
}
