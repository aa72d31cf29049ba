import type { AnswerHandle } from "../../chat/running-answer.ts";
import type { Clock } from "../../core/clock.ts";
import type { ErrorCode } from "../../core/error-codes.ts";
import type { Principal } from "../../core/principal.ts";
import type { AckFrame } from "../../protocol/client-frames.ts";
import type { ServerFrameType } from "../../protocol/server-frames.ts";
import { Cursor, type CursorOptions, type CursorSink } from "./cursor.ts";
import type { Flushable } from "./flush-scheduler.ts";
import { HistoryReplies, type HistoryRequest, type HistorySink } from "./history-replies.ts";
import type { DeliveryHost } from "./delivery-host.ts";
import type { SocketWriter } from "./socket-writer.ts";

/** Minimum time between two attempts to replay, in milliseconds, so that many waiting sockets cost little. */
const MIN_REPLAY_WAIT_MS = 100;

/** The session that a feed belongs to. */
export interface FeedOwner {
  readonly host: DeliveryHost;
  readonly owner: Principal;
  /** Called when an answer was sent completely. */
  answered(): void;
  refuse(error: unknown): void;
}

/**
 * What one socket reads: the answers that it watches and the histories that it requested. Text stays in the answer log
 * or the store until the socket is writable.
 */
export class AnswerFeed implements CursorSink, HistorySink, Flushable {
  readonly #session: FeedOwner;
  readonly #writer: SocketWriter;
  readonly #cursors = new CursorSet();
  #histories: HistoryReplies | null = null;
  /** Whether the client has sent an `ack`: its credit is limited from then on. */
  #acknowledges = false;
  /** Set while all replayed text of this socket waits for the budget: one timer for all its answers. */
  #cancelReplay: (() => void) | null = null;
  /** Whether the flush scheduler holds this feed, for a normal or an urgent flush. */
  #flushScheduled = false;
  #urgentScheduled = false;

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

  /** Number of answers being delivered. */
  get size(): number {
    return this.#cursors.size;
  }

  /** Delivers an answer; does nothing if the answer is being delivered already. */
  watch(handle: AnswerHandle, options: CursorOptions): void {
    if (this.#cursors.get(handle.reader.meta.answer) !== undefined) return;
    const cursor = new Cursor(handle, options, this);
    this.#cursors.add(cursor);
    cursor.pump();
  }

  /** Sends a history when the socket is writable. @throws ServiceError `busy` while too many requests wait */
  showHistory(request: HistoryRequest): void {
    const { host, owner } = this.#session;
    this.#histories ??= new HistoryReplies(host, this.#writer, this);
    this.#histories.add(owner.client, request);
  }

  /** Returns what is wrong with an `ack`, or null. Only the highest `to` of an answer counts. */
  ack({ answer, to }: AckFrame): string | null {
    const cursor = this.#cursors.get(answer);
    // The answer may have ended before the ack arrived.
    if (cursor === undefined) return null;
    this.#acknowledges = true;
    return cursor.ack(to)
      ? null
      : `Field \`to\` of the ack frame is ${to}, which is more than was sent of answer ${JSON.stringify(answer)}.`;
  }

  /** Sends what is ready while the socket is writable. Call it where the writes are corked. */
  pump(): void {
    // The cursors may block the socket again.
    if (this.#writer.writable) this.#histories?.allRead();
    this.#cursors.pump(this.#writer);
    this.#histories?.serve();
  }

  /** Called by the flush scheduler: sends what is ready. */
  flush(): void {
    this.#flushScheduled = this.#urgentScheduled = false;
    // A single frame needs no cork.
    if (this.#cursors.sendsSeveral) this.#writer.together(() => this.pump());
    else this.pump();
  }

  /** Stops all deliveries, because the socket has closed. */
  end(): void {
    this.#cancelReplay?.();
    this.#cursors.leaveAll();
    this.#histories?.end();
  }

  wantsPump(atOnce: boolean): boolean {
    if (!this.#writer.writable) return false;
    const { flushes } = this.#session.host;
    if (atOnce && !this.#urgentScheduled) {
      this.#urgentScheduled = true;
      flushes.addUrgent(this);
    } else if (!atOnce && !this.#flushScheduled) {
      this.#flushScheduled = true;
      flushes.add(this);
    }
    return true;
  }

  mayReplay(bytes: number): boolean {
    if (this.#cancelReplay !== null) return false;
    const wait = this.takeReplay(bytes);
    if (wait === 0) return true;
    this.#cancelReplay = this.clock.after(Math.max(Math.ceil(wait), MIN_REPLAY_WAIT_MS), () => {
      this.#cancelReplay = null;
      this.wantsPump(false);
    });
    return false;
  }

  takeReplay(bytes: number): number {
    const { host, owner } = this.#session;
    const wait = host.replays?.take(owner.accountKey, bytes) ?? 0;
    if (wait > 0) host.metrics.limitHit("replay_rate");
    return wait;
  }

  chargeReplay(bytes: number): void {
    const { host, owner } = this.#session;
    host.replays?.charge(owner.accountKey, bytes);
  }

  refuse(error: unknown): void {
    this.#session.refuse(error);
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

/** The cursors of one socket, in the order in which they write next. Most sockets have none or one. */
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

  /** Pumps each cursor while the socket is writable. */
  pump(socket: { readonly writable: boolean }): void {
    for (const cursor of this.#cursors) {
      cursor.pump();
      if (socket.writable) continue;
      // The cursor that filled the socket goes to the end, or it would starve the others on a slow socket.
      if (this.#cursors.includes(cursor)) {
        this.delete(cursor);
        this.add(cursor);
      }
      return;
    }
  }

  /** Ends all cursors. */
  leaveAll(): void {
    for (const cursor of this.#cursors) cursor.leave();
    this.#cursors = [];
  }
}
