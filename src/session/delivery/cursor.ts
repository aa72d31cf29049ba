import type { AnswerOutcome, AnswerReader, AnswerStatus } from "../../chat/answer-log.ts";
import type { Watcher } from "../../chat/abandon-timer.ts";
import type { AnswerHandle } from "../../chat/running-answer.ts";
import type { Clock } from "../../core/clock.ts";
import type { ErrorCode } from "../../core/error-codes.ts";
import type { ServerFrameType } from "../../protocol/server-frames.ts";
import { encode, endFrame, eventFrame, evictedFrame, statusFrame, textHead } from "./answer-frames.ts";

/** Receives a cursor's frames: the feed of one socket. */
export interface CursorSink {
  readonly clock: Clock;
  /** False while the socket is blocked: from a send that was queued until the socket has drained. */
  readonly writable: boolean;
  /** Maximum bytes of an answer beyond its last `ack`; Infinity while the client has sent no `ack`. */
  readonly creditBytes: number;
  /** Takes bytes from the budget of replayed text. If it returns false, {@link Cursor.pump} is called again later. */
  mayReplay(bytes: number): boolean;
  /** Takes bytes that are sent in any case; the next ones have to wait for them. */
  chargeReplay(bytes: number): void;
  /** Schedules {@link Cursor.pump}, `atOnce` or with the next flush. Returns false if the socket is not writable. */
  wantsPump(atOnce: boolean): boolean;
  send(type: ServerFrameType, text: string, head?: Uint8Array): void;
  errorSent(code: ErrorCode): void;
  /** Called after the final frame was sent. */
  done(cursor: Cursor): void;
}

/** How one socket reads an answer. */
export interface CursorOptions {
  /** Whether the socket receives the extended frames for this answer. */
  readonly streamed: boolean;
  /** Offset at which the text begins, 0 to the answer's length; moved back to a character boundary. */
  readonly from: number;
  /** Offset at which the reasoning begins, like {@link from}; null: the socket does not receive it. */
  readonly reasoningFrom: number | null;
}

/** Minimum time between two `queued` or `progress` frames, in milliseconds. */
const STATUS_INTERVAL_MS = 500;

/**
 * Maximum text of one `token` frame, in bytes. JSON can encode one byte as six, and such a frame still fits the soft
 * limit of a socket. Small frames also let a slow reader make visible progress.
 */
export const MAX_TOKEN_TEXT_BYTES = 32_768;

/** Bytes that a repeated final frame takes from the replay budget besides its text. */
const END_FRAME_BYTES = 512;

/**
 * Position of one socket in one answer. While the socket is writable, the cursor sends the text after `sentTo`. A slow
 * reader gets fewer and larger frames, and unsent text is held by the log alone.
 */
export class Cursor {
  readonly reader: AnswerReader;
  readonly #streamed: boolean;
  readonly #sink: CursorSink;
  readonly #watcher: Watcher;
  readonly #unsubscribe: () => void;
  /** Beginning of each `token` frame, in UTF-8; undefined if the answer is not streamed. */
  readonly #tokenHead: Uint8Array | undefined;
  #reasoningHead: Uint8Array | undefined;
  /** Text before this offset existed when the cursor began: sending it takes from the client's replay budget. */
  readonly #oldTo: number;
  /** The same for the reasoning. */
  readonly #oldReasoningTo: number;
  #endIsOld: boolean;
  #waitsForReplay = false;
  /** Reasoning was sent up to this offset; Infinity if the socket does not receive it. */
  #reasoningTo: number;
  #sentTo: number;
  #ackedTo: number;
  #eventsSent: number;
  #statusSent: AnswerStatus | null = null;
  #statusSentAt = -Infinity;
  #cancelStatus: (() => void) | null = null;
  #over = false;

  constructor(handle: AnswerHandle, { streamed, from, reasoningFrom }: CursorOptions, sink: CursorSink) {
    const { reader } = handle;
    this.reader = reader;
    this.#streamed = streamed;
    this.#sink = sink;
    this.#watcher = handle.watch();
    this.#tokenHead = streamed ? textHead("token", reader.meta) : undefined;
    this.#oldTo = reader.length;
    this.#oldReasoningTo = reader.reasoning.length;
    this.#reasoningTo = reasoningFrom === null ? Infinity : reader.reasoning.boundary(reasoningFrom);
    this.#endIsOld = reader.length > 0 || reader.outcome !== null;
    this.#sentTo = this.#ackedTo = streamed ? reader.boundary(from) : 0;
    // The client may have missed an event at exactly this offset, so it is sent again.
    this.#eventsSent = reader.events.filter(({ offset }) => offset < this.#sentTo).length;
    this.#unsubscribe = reader.subscribe(() => this.#changed());
  }

  /** Whether two frames may be due: the last text and the final frame. */
  get ends(): boolean {
    return this.#streamed && this.reader.outcome !== null;
  }

  /** Sends what is ready while the socket is writable. */
  pump(): void {
    if (this.#over) return;
    if (this.reader.evicted) {
      if (this.#sink.writable) this.#end(evictedFrame(this.reader.meta));
      return;
    }
    const before = this.#sentTo;
    const reasoned = this.#hasNewReasoning && this.#sendReasoning();
    // Reasoning that waits for the replay budget still comes before the text.
    if (!this.#hasNewReasoning) this.#sendEventsAndText();
    if (this.#streamed) {
      this.#sendStatus();
      // Any progress restarts the abandon timer, which is meant for sockets that read nothing at all.
      if (reasoned || this.#sentTo > before) this.#watcher.setStalled(false);
      this.#watcher.setStalled(this.#hasUnreadText());
    }
    const { outcome } = this.reader;
    if (outcome === null || !this.#sink.writable || this.#behind() || !this.#endAllowed(outcome)) return;
    this.#end(endFrame(this.reader, outcome));
  }

  /** Records that the client has displayed the text up to `to`. Returns false if that text was never sent. */
  ack(to: number): boolean {
    if (to > this.#sentTo) return false;
    if (to <= this.#ackedTo) return true;
    this.#ackedTo = to;
    if (this.#sentTo < this.reader.length) this.#sink.wantsPump(false);
    return true;
  }

  /** Stops watching: the socket has closed, or the answer was delivered. */
  leave(): void {
    if (this.#over) return;
    this.#over = true;
    this.#cancelStatus?.();
    this.#unsubscribe();
    this.#watcher.leave();
  }

  #changed(): void {
    const { outcome, events } = this.reader;
    // Only text is worth collecting into larger frames.
    const atOnce = outcome !== null || this.#eventsSent < events.length || this.#statusDue;
    if (!atOnce && !this.#hasNewText()) return;
    if (!this.#sink.wantsPump(atOnce) && this.#streamed) this.#watcher.setStalled(this.#hasUnreadText());
  }

  /** Whether the client leaves text unread. A wait for the replay limit does not count against the client. */
  #hasUnreadText(): boolean {
    return this.#hasNewText() && !this.#waitsForReplay;
  }

  /** Whether there is text or reasoning that this socket receives and that was not sent yet. */
  #hasNewText(): boolean {
    return (this.#streamed && this.#sentTo < this.reader.length) || this.#hasNewReasoning;
  }

  get #hasNewReasoning(): boolean {
    return this.#reasoningTo < this.reader.reasoning.length;
  }

  /** Whether a status was not sent yet and no timer will send it. A status stays while the model reasons. */
  get #statusDue(): boolean {
    const { status } = this.reader;
    return this.#streamed && status !== null && status !== this.#statusSent && this.#cancelStatus === null;
  }

  #behind(): boolean {
    return this.#eventsSent < this.reader.events.length || this.#hasNewText();
  }

  /** Sends the reasoning, which comes before the text. Returns whether any was sent. */
  #sendReasoning(): boolean {
    const { reasoning, meta } = this.reader;
    const before = this.#reasoningTo;
    while (this.#sink.writable && this.#reasoningTo < reasoning.length) {
      const from = this.#reasoningTo;
      const to = reasoning.boundary(from + MAX_TOKEN_TEXT_BYTES);
      const old = from < this.#oldReasoningTo;
      if (old && !this.#replayAllowed(to - from)) break;
      const text = JSON.stringify(reasoning.read(from, to));
      this.#reasoningTo = to;
      this.#reasoningHead ??= textHead("reasoning", meta);
      if (old) this.#sink.chargeReplay(Math.max(0, Buffer.byteLength(text) - (to - from)));
      this.#sink.send("reasoning", `${text},"from":${from},"to":${to}}`, this.#reasoningHead);
    }
    return this.#reasoningTo > before;
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
        const frame = eventFrame(meta, event, this.#streamed);
        if (frame !== null) this.#sink.send(frame.type, encode(frame));
      }
    }
  }

  /** Sends one frame of the text before `stop`. Returns false if the client's credit or replay budget is used up. */
  #sendText(stop: number): boolean {
    const from = this.#sentTo;
    const credit = this.#sink.creditBytes - (from - this.#ackedTo);
    const room = Math.min(credit, MAX_TOKEN_TEXT_BYTES);
    const to = stop - from > room ? this.reader.boundary(from + room) : stop;
    if (to <= from || (from < this.#oldTo && !this.#replayAllowed(to - from))) return false;
    const text = JSON.stringify(this.reader.read(from, to));
    this.#sentTo = to;
    // JSON can encode one byte as six.
    if (from < this.#oldTo) this.#sink.chargeReplay(Math.max(0, Buffer.byteLength(text) - (to - from)));
    this.#sink.send("token", `${text},"from":${from},"to":${to}}`, this.#tokenHead);
    return true;
  }

  #replayAllowed(bytes: number): boolean {
    this.#waitsForReplay = !this.#sink.mayReplay(bytes);
    return !this.#waitsForReplay;
  }

  /**
   * A final frame holds the whole text, so it counts as a replay if the cursor began after the text did. So does the
   * result of a command that used no model: it is text that the server has or the client sent.
   */
  #endAllowed(outcome: AnswerOutcome): boolean {
    this.#endIsOld ||= outcome.type === "command" && outcome.usage === undefined;
    return !this.#endIsOld || this.#replayAllowed(this.reader.length + END_FRAME_BYTES);
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
    const text = encode(frame);
    const paid = this.reader.length + END_FRAME_BYTES;
    if (this.#endIsOld) this.#sink.chargeReplay(Math.max(0, Buffer.byteLength(text) - paid));
    this.#sink.send(frame.type, text);
    this.leave();
    this.#sink.done(this);
  }
}
