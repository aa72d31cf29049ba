import type { AnswerHandle } from "../chat/running-answer.ts";
import type { Clock } from "../core/clock.ts";
import type { ErrorCode } from "../core/error-codes.ts";
import type { Principal } from "../core/principal.ts";
import type { AckFrame } from "../protocol/client-frames.ts";
import type { ServerFrameType } from "../protocol/server-frames.ts";
import { CursorSet } from "./cursor-set.ts";
import { Cursor, type CursorSink } from "./cursor.ts";
import type { Flushable } from "./flush-scheduler.ts";
import { HistoryReplies, type HistoryRequest } from "./history-replies.ts";
import type { Outlet } from "./outlet.ts";
import type { SessionHost } from "./session-host.ts";

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
  readonly #outlet: Outlet;
  readonly #cursors = new CursorSet();
  #histories: HistoryReplies | null = null;
  /** The client tells what it has shown: it is sent only so much ahead of that. */
  #acknowledges = false;
  #flushAwaited = false;
  #urgentAwaited = false;

  constructor(session: FeedOwner, outlet: Outlet) {
    this.#session = session;
    this.#outlet = outlet;
  }

  get clock(): Clock {
    return this.#session.host.clock;
  }

  get writable(): boolean {
    return this.#outlet.writable;
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
    this.#histories ??= new HistoryReplies(host, this.#outlet, (error) => this.#session.refuse(error));
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
    this.#cursors.pump(this.#outlet);
    this.#histories?.serve();
  }

  /** The scheduler's turn: what came since the last one leaves. */
  flush(): void {
    this.#flushAwaited = this.#urgentAwaited = false;
    // A single frame leaves in one go by itself.
    if (this.#cursors.sendsSeveral) this.#outlet.together(() => this.pump());
    else this.pump();
  }

  /** The socket is gone. */
  end(): void {
    this.#cursors.leaveAll();
  }

  wantsPump(atOnce: boolean): boolean {
    if (!this.#outlet.writable) return false;
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
    this.#outlet.send(type, text, head);
  }

  errorSent(code: ErrorCode): void {
    this.#session.host.metrics.errorSent(code);
  }

  done(cursor: Cursor): void {
    this.#cursors.delete(cursor);
    this.#session.answered();
  }
}
