import type { AnswerReader, AnswerStatus } from "../chat/answer-log.ts";
import type { Attendant } from "../chat/attendance.ts";
import type { Ticket } from "../chat/running-answer.ts";
import type { Clock } from "../core/clock.ts";
import type { ErrorCode } from "../core/error-codes.ts";
import type { ServerFrameType } from "../protocol/server-frames.ts";
import {
  encode,
  endFrame,
  fallbackFrame,
  fallbackNotice,
  statusFrame,
  tokenPrefix,
} from "./answer-frames.ts";

/** Where a cursor's frames go: the session of one socket. */
export interface CursorSink {
  readonly clock: Clock;
  /** False from the moment the socket holds bytes back until it has drained. */
  readonly writable: boolean;
  send(type: ServerFrameType, text: string): void;
  errorSent(code: ErrorCode): void;
  /** The closing frame was sent: the cursor's work is over. */
  done(cursor: Cursor): void;
}

/** A client is told of its place at most twice a second. */
const STATUS_INTERVAL_MS = 500;

/**
 * One socket's place in one answer. Whenever the socket is writable it sends everything since `sentTo` as one frame;
 * a slow reader gets fewer, larger frames, and no text waits anywhere but in the log.
 */
export class Cursor {
  readonly reader: AnswerReader;
  readonly #streamed: boolean;
  readonly #sink: CursorSink;
  readonly #attendant: Attendant;
  readonly #unsubscribe: () => void;
  readonly #prefix: string;
  #sentTo = 0;
  #eventsSent = 0;
  #statusSent: AnswerStatus | null = null;
  #statusSentAt = -Infinity;
  #cancelStatus: (() => void) | null = null;
  #over = false;

  /** `streamed`: the socket takes `token`, `queued`, `progress` and `fallback` frames for this answer. */
  constructor(ticket: Ticket, streamed: boolean, sink: CursorSink) {
    this.reader = ticket.reader;
    this.#streamed = streamed;
    this.#sink = sink;
    this.#attendant = ticket.attend();
    this.#prefix = streamed ? tokenPrefix(this.reader.meta) : "";
    this.#unsubscribe = this.reader.subscribe(() => this.pump());
  }

  /** Sends what is there as far as the socket takes it. */
  pump(): void {
    if (this.#over) return;
    this.#sendEventsAndText();
    if (this.#streamed) {
      this.#sendStatus();
      this.#attendant.setStalled(this.#sentTo < this.reader.length);
    }
    const { outcome } = this.reader;
    if (outcome === null || !this.#sink.writable || this.#behind()) return;
    const frame = endFrame(this.reader, outcome);
    if (frame.type === "error") this.#sink.errorSent(frame.code);
    this.#sink.send(frame.type, encode(frame));
    this.leave();
    this.#sink.done(this);
  }

  /** The socket is gone or has what it wanted. */
  leave(): void {
    if (this.#over) return;
    this.#over = true;
    this.#cancelStatus?.();
    this.#unsubscribe();
    this.#attendant.leave();
  }

  #behind(): boolean {
    return (
      this.#eventsSent < this.reader.events.length || (this.#streamed && this.#sentTo < this.reader.length)
    );
  }

  #sendEventsAndText(): void {
    const { events, meta } = this.reader;
    while (this.#eventsSent < events.length && this.#sink.writable) {
      const event = events[this.#eventsSent];
      if (event === undefined) break;
      if (this.#streamed && event.offset > this.#sentTo) this.#sendText(event.offset);
      if (!this.#sink.writable) return;
      this.#eventsSent++;
      const frame = this.#streamed ? fallbackFrame(meta, event) : fallbackNotice(event);
      this.#sink.send(frame.type, encode(frame));
    }
    if (this.#streamed && this.#sentTo < this.reader.length) this.#sendText(this.reader.length);
  }

  #sendText(to: number): void {
    if (!this.#sink.writable) return;
    const from = this.#sentTo;
    let text = this.reader.read(from);
    if (to < this.reader.length) text = Buffer.from(text).toString("utf8", 0, to - from);
    this.#sentTo = to;
    this.#sink.send("token", `${this.#prefix}${JSON.stringify(text)},"from":${from},"to":${to}}`);
  }

  #sendStatus(): void {
    const { status, meta } = this.reader;
    if (status === null || status === this.#statusSent || !this.#sink.writable) return;
    const wait = this.#statusSentAt + STATUS_INTERVAL_MS - this.#sink.clock.now();
    if (wait > 0) {
      this.#cancelStatus ??= this.#sink.clock.after(wait, () => {
        this.#cancelStatus = null;
        this.pump();
      });
      return;
    }
    this.#statusSent = status;
    this.#statusSentAt = this.#sink.clock.now();
    const frame = statusFrame(meta, status);
    this.#sink.send(frame.type, encode(frame));
  }
}
