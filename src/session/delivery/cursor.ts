import type { AnswerReader, AnswerStatus } from "../../chat/answer-log.ts";
import type { Watcher } from "../../chat/abandon-timer.ts";
import type { AnswerHandle } from "../../chat/running-answer.ts";
import type { Clock } from "../../core/clock.ts";
import type { ErrorCode } from "../../core/error-codes.ts";
import type { ServerFrameType } from "../../protocol/server-frames.ts";
import {
  encode,
  endFrame,
  evictedFrame,
  fallbackFrame,
  fallbackNotice,
  statusFrame,
  tokenHead,
} from "./answer-frames.ts";

/** Where a cursor's frames go: the session of one socket. */
export interface CursorSink {
  readonly clock: Clock;
  /** False from the moment the socket holds bytes back until it has drained. */
  readonly writable: boolean;
  /** Bytes of an answer that may be on their way without an `ack`; Infinity while the client has sent none. */
  readonly creditBytes: number;
  /** Takes bytes of an old text out of the client's budget for them; else the milliseconds until they are there. */
  takeReplay(bytes: number): number;
  /** Has {@link Cursor.pump} called soon, or `atOnce`; false when the socket does not take anything now. */
  wantsPump(atOnce: boolean): boolean;
  send(type: ServerFrameType, text: string, head?: Uint8Array): void;
  errorSent(code: ErrorCode): void;
  /** The closing frame was sent: the cursor's work is over. */
  done(cursor: Cursor): void;
}

export interface CursorOptions {
  /** The socket takes `token`, `queued`, `progress` and `fallback` frames for this answer. */
  readonly streamed: boolean;
  /** Offset from which on the client wants the text, within the answer; moved back to a character boundary. */
  readonly from: number;
}

/** A client is told of its place at most twice a second. */
const STATUS_INTERVAL_MS = 500;

/**
 * Most text in one `token` frame. JSON can make six bytes of one: such a frame still fits the soft limit of a socket,
 * and who reads slowly is never far from the next frame.
 */
export const MAX_TOKEN_TEXT_BYTES = 32_768;

/** What a repeated end costs at least of the budget for old text: a frame and its fields. */
const END_FRAME_BYTES = 512;

/**
 * One socket's place in one answer. Whenever the socket is writable it sends what came since `sentTo`; a slow reader gets
 * fewer, larger frames, and no text waits anywhere but in the log.
 */
export class Cursor {
  readonly reader: AnswerReader;
  readonly #streamed: boolean;
  readonly #sink: CursorSink;
  readonly #attendant: Watcher;
  readonly #unsubscribe: () => void;
  /** What every `token` frame of the answer begins with, in UTF-8; undefined where none is sent. */
  readonly #tokenHead: Uint8Array | undefined;
  /** Text before this offset is old: sending it counts against the client's budget for replays. */
  readonly #oldTo: number;
  #endIsOld: boolean;
  #cancelReplay: (() => void) | null = null;
  #sentTo: number;
  #ackedTo: number;
  #eventsSent: number;
  #statusSent: AnswerStatus | null = null;
  #statusSentAt = -Infinity;
  #cancelStatus: (() => void) | null = null;
  #over = false;

  constructor(ticket: AnswerHandle, { streamed, from }: CursorOptions, sink: CursorSink) {
    const { reader } = ticket;
    this.reader = reader;
    this.#streamed = streamed;
    this.#sink = sink;
    this.#attendant = ticket.watch();
    this.#tokenHead = streamed ? tokenHead(reader.meta) : undefined;
    this.#oldTo = reader.length;
    this.#endIsOld = reader.length > 0 || reader.outcome !== null;
    this.#sentTo = this.#ackedTo = streamed ? reader.boundary(from) : 0;
    // Of an event right at the offset nobody knows whether it arrived.
    this.#eventsSent = reader.events.filter(({ offset }) => offset < this.#sentTo).length;
    this.#unsubscribe = reader.subscribe(() => this.#changed());
  }

  /** Whether more than one frame may be due: text and the end behind it. */
  get ends(): boolean {
    return this.#streamed && this.reader.outcome !== null;
  }

  /** Sends what is there as far as the socket takes it. */
  pump(): void {
    if (this.#over) return;
    if (this.reader.evicted) {
      if (this.#sink.writable) this.#end(evictedFrame(this.reader.meta));
      return;
    }
    const before = this.#sentTo;
    this.#sendEventsAndText();
    if (this.#streamed) {
      this.#sendStatus();
      // Who took something starts anew: the clock is for readers that take nothing.
      if (this.#sentTo > before) this.#attendant.setStalled(false);
      this.#attendant.setStalled(this.#untaken());
    }
    const { outcome } = this.reader;
    if (outcome === null || !this.#sink.writable || this.#behind() || !this.#endAllowed()) return;
    this.#end(endFrame(this.reader, outcome));
  }

  /** The client has shown the text up to `to`. False when it cannot have: so much was never sent. */
  ack(to: number): boolean {
    if (to > this.#sentTo) return false;
    if (to <= this.#ackedTo) return true;
    this.#ackedTo = to;
    if (this.#sentTo < this.reader.length) this.#sink.wantsPump(false);
    return true;
  }

  /** The socket is gone or has what it wanted. */
  leave(): void {
    if (this.#over) return;
    this.#over = true;
    this.#cancelStatus?.();
    this.#cancelReplay?.();
    this.#unsubscribe();
    this.#attendant.leave();
  }

  #changed(): void {
    const { outcome, status, events } = this.reader;
    // Only text gains by waiting for more of it.
    const atOnce =
      outcome !== null || this.#eventsSent < events.length || (this.#streamed && status !== null);
    if (!this.#streamed && !atOnce) return;
    if (!this.#sink.wantsPump(atOnce) && this.#streamed) this.#attendant.setStalled(this.#untaken());
  }

  /** Whether text is ready that the client leaves. What waits for our own limit of replays is not its fault. */
  #untaken(): boolean {
    return this.#sentTo < this.reader.length && this.#cancelReplay === null;
  }

  #behind(): boolean {
    return (
      this.#eventsSent < this.reader.events.length || (this.#streamed && this.#sentTo < this.reader.length)
    );
  }

  #sendEventsAndText(): void {
    const { events, meta } = this.reader;
    while (this.#sink.writable) {
      const event = events[this.#eventsSent];
      const stop = event?.offset ?? this.reader.length;
      if (this.#streamed && this.#sentTo < stop) {
        if (!this.#sendText(stop)) return;
      } else if (event === undefined) {
        return;
      } else {
        this.#eventsSent++;
        const frame = this.#streamed ? fallbackFrame(meta, event) : fallbackNotice(event);
        this.#sink.send(frame.type, encode(frame));
      }
    }
  }

  /** One frame of the text before `stop`; false when the client's credit or our limit of replays is used up. */
  #sendText(stop: number): boolean {
    const from = this.#sentTo;
    const credit = this.#sink.creditBytes - (from - this.#ackedTo);
    const room = Math.min(credit, MAX_TOKEN_TEXT_BYTES);
    const to = stop - from > room ? this.reader.boundary(from + room) : stop;
    if (to <= from || (from < this.#oldTo && !this.#replayAllowed(to - from))) return false;
    const text = JSON.stringify(this.reader.read(from, to));
    this.#sentTo = to;
    this.#sink.send("token", `${text},"from":${from},"to":${to}}`, this.#tokenHead);
    return true;
  }

  #replayAllowed(bytes: number): boolean {
    if (this.#cancelReplay !== null) return false;
    const wait = this.#sink.takeReplay(bytes);
    if (wait === 0) return true;
    // Whole milliseconds: a remainder too small for the clock would never pass.
    this.#cancelReplay = this.#sink.clock.after(Math.ceil(wait), () => {
      this.#cancelReplay = null;
      this.#sink.wantsPump(false);
    });
    return false;
  }

  /** An end holds the whole text, and is old as well when the client has joined after its beginning. */
  #endAllowed(): boolean {
    if (this.#endIsOld && !this.#replayAllowed(this.reader.length + END_FRAME_BYTES)) return false;
    this.#endIsOld = false;
    return true;
  }

  #sendStatus(): void {
    const { status, meta } = this.reader;
    if (status === null || status === this.#statusSent || !this.#sink.writable) return;
    const wait = this.#statusSentAt + STATUS_INTERVAL_MS - this.#sink.clock.now();
    if (wait > 0) {
      this.#cancelStatus ??= this.#sink.clock.after(wait, () => {
        this.#cancelStatus = null;
        this.#sink.wantsPump(false);
      });
      return;
    }
    this.#statusSent = status;
    this.#statusSentAt = this.#sink.clock.now();
    const frame = statusFrame(meta, status);
    this.#sink.send(frame.type, encode(frame));
  }

  #end(frame: ReturnType<typeof endFrame>): void {
    if (frame.type === "error") this.#sink.errorSent(frame.code);
    this.#sink.send(frame.type, encode(frame));
    this.leave();
    this.#sink.done(this);
  }
}
