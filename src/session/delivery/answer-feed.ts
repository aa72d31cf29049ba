import type { AnswerHandle } from "../../chat/running-answer.ts";
import type { Clock } from "../../core/clock.ts";
import type { ErrorCode } from "../../core/error-codes.ts";
import type { Principal } from "../../core/principal.ts";
import type { AckFrame } from "../../protocol/client-frames.ts";
import type { ServerFrameType } from "../../protocol/server-frames.ts";
import { Cursor, type CursorSink } from "./cursor.ts";
import type { Flushable } from "./flush-scheduler.ts";
import { HistoryReplies, type HistoryRequest } from "./history-replies.ts";
import type { SocketWriter } from "./socket-writer.ts";
import type { SessionHost } from "../session-host.ts";

/** The session as its feed sees it. */
export interface FeedOwner {
  readonly host: SessionHost;
  readonly owner: Principal;
  /** An answer has been sent to its end. */
  answered(): void;
  refuse(error: unknown): void;
}

/**
 * What one socket reads: the answers that it watches and the histories that it asked for. Everything waits in its log or
 * store and is sent when the socket has room.
 */
export class AnswerFeed implements CursorSink, Flushable {
  readonly #session: FeedOwner;
  readonly #writer: SocketWriter;
  readonly #cursors = new CursorSet();
  #histories: HistoryReplies | null = null;
  /** The client tells what it has shown: it is sent only so much ahead of that. */
  #acknowledges = false;
  #flushAwaited = false;
  #urgentAwaited = false;

  constructor(session: FeedOwner, writer: SocketWriter) {
    this.#session = session;
    this.#writer = writer;
  }

  get clock(): Clock {
    return this.#session.host.clock;
  }

  get writable(): boolean {
    return this.#writer.writable;
  }

  get creditBytes(): number {
    return this.#acknowledges ? this.#session.host.maxUnackedBytes : Infinity;
  }

  /** Answers on their way. */
  get size(): number {
    return this.#cursors.size;
  }

  /** Shows an answer from an offset on; one that is shown already stays as it is. */
  watch(ticket: AnswerHandle, streamed: boolean, from: number): void {
    if (this.#cursors.get(ticket.reader.meta.answer) !== undefined) return;
    const cursor = new Cursor(ticket, { streamed, from }, this);
    this.#cursors.add(cursor);
    cursor.pump();
  }

  /** @throws ServiceError `busy` while too many wait. */
  showHistory(request: HistoryRequest): void {
    const { host, owner } = this.#session;
    this.#histories ??= new HistoryReplies(host, this.#writer, (error) => this.#session.refuse(error));
    this.#histories.add(owner.client, request);
  }

  /** What is wrong with an `ack`, or null. Of several only the highest `to` counts. */
  ack({ answer, to }: AckFrame): string | null {
    const cursor = this.#cursors.get(answer);
    // It may just have ended.
    if (cursor === undefined) return null;
    this.#acknowledges = true;
    return cursor.ack(to)
      ? null
      : `Field \`to\` of the ack frame is ${to}, which is more than was sent of answer ${JSON.stringify(answer)}.`;
  }

  /** The socket has room. Called where everything that is sent leaves in one go. */
  pump(): void {
    this.#cursors.pump(this.#writer);
    this.#histories?.serve();
  }

  /** The scheduler's turn: what came since the last one leaves. */
  flush(): void {
    this.#flushAwaited = this.#urgentAwaited = false;
    // A single frame leaves in one go by itself.
    if (this.#cursors.sendsSeveral) this.#writer.together(() => this.pump());
    else this.pump();
  }

  /** The socket is gone. */
  end(): void {
    this.#cursors.leaveAll();
  }

  wantsPump(atOnce: boolean): boolean {
    if (!this.#writer.writable) return false;
    const { flushes } = this.#session.host;
    if (atOnce && !this.#urgentAwaited) {
      this.#urgentAwaited = true;
      flushes.addUrgent(this);
    } else if (!atOnce && !this.#flushAwaited) {
      this.#flushAwaited = true;
      flushes.add(this);
    }
    return true;
  }

  takeReplay(bytes: number): number {
    const { host, owner } = this.#session;
    const wait = host.replays?.take(owner.accountKey, bytes) ?? 0;
    if (wait > 0) host.metrics.limitHit("replay_rate");
    return wait;
  }

  send(type: ServerFrameType, text: string, head?: Uint8Array): void {
    this.#writer.send(type, text, head);
  }

  errorSent(code: ErrorCode): void {
    this.#session.host.metrics.errorSent(code);
  }

  done(cursor: Cursor): void {
    this.#cursors.delete(cursor);
    this.#session.answered();
  }
}

/** The answers that one socket watches, in the order in which they may write next. Most sockets watch none or one. */
class CursorSet {
  #cursors: readonly Cursor[] = [];

  get size(): number {
    return this.#cursors.length;
  }

  /** Whether a pump may send more than one frame. */
  get sendsSeveral(): boolean {
    return this.#cursors.length > 1 || this.#cursors[0]?.ends === true;
  }

  get(answer: string): Cursor | undefined {
    return this.#cursors.find(({ reader }) => reader.meta.answer === answer);
  }

  add(cursor: Cursor): void {
    this.#cursors = [...this.#cursors, cursor];
  }

  delete(cursor: Cursor): void {
    this.#cursors = this.#cursors.filter((it) => it !== cursor);
  }

  /** Lets each cursor write as long as the socket is writable. */
  pump(socket: { readonly writable: boolean }): void {
    for (const cursor of this.#cursors) {
      cursor.pump();
      if (socket.writable) continue;
      // Who filled the socket comes last the next time: on a slow one the others would never have their turn.
      if (this.#cursors.includes(cursor)) {
        this.delete(cursor);
        this.add(cursor);
      }
      return;
    }
  }

  /** The socket is gone. */
  leaveAll(): void {
    for (const cursor of this.#cursors) cursor.leave();
    this.#cursors = [];
  }
}
