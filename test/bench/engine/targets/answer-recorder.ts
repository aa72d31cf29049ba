import type { Answer, AnswerUsage, Ask, QueuedNote } from "../chat-target.ts";

/** Records the arrival times of the parts of an answer. */
export class AnswerRecorder {
  readonly #user: string;
  readonly #sentAt = performance.now();
  readonly #textAt: number[] = [];
  readonly #queued: QueuedNote[] = [];
  #text = "";

  /** Create it when the request is sent: the time of creation counts as the time of sending. */
  constructor({ user }: Ask) {
    this.#user = user;
  }

  text(piece: string): void {
    if (piece === "") return;
    this.#textAt.push(performance.now());
    this.#text += piece;
  }

  queued(etaMs: number | null): void {
    this.#queued.push({ at: performance.now(), etaMs });
  }

  end(usage: AnswerUsage | null, cancelled: boolean, queueMs: number | null = null): Answer {
    return {
      user: this.#user,
      sentAt: this.#sentAt,
      textAt: this.#textAt,
      endAt: performance.now(),
      text: this.#text,
      cancelled,
      usage,
      queued: this.#queued,
      queueMs,
    };
  }
}
