import type { Ticket } from "../chat/running-answer.ts";
import type { SessionRecord } from "../chat/session-store.ts";
import { reportOf, ServiceError } from "../core/errors.ts";
import type { ErrorCode } from "../core/error-codes.ts";
import { hashOf, newSessionSecret } from "../core/ids.ts";
import type { Principal } from "../core/principal.ts";
import { closeCodes, type CloseReason } from "../protocol/close-codes.ts";
import type { NoticeFrame, ServerFrame } from "../protocol/server-frames.ts";
import { AnswerFeed, type FeedOwner } from "./answer-feed.ts";
import { encode, errorFrame } from "./answer-frames.ts";
import { BadFrameCounter } from "./bad-frame-counter.ts";
import { handleFrame, type Connection, type OrderedFrame } from "./frame-handlers.ts";
import { Outlet, type OutletFault } from "./outlet.ts";
import type { SessionHost } from "./session-host.ts";
import type { Socket } from "./socket.ts";
import { TaskSequence } from "./task-sequence.ts";

const PONG = encode({ type: "pong" });

/** Frames that may wait while a `resume` or a submission before them is on its way to the store. */
const MAX_WAITING_FRAMES = 64;

/** The state machine of one connection: frames in, frames out, cursors over answers. */
export class Session implements Connection, FeedOwner {
  readonly host: SessionHost;
  readonly streaming: boolean;
  readonly #socket: Socket;
  readonly #outlet: Outlet;
  #owner: Principal;
  #record: SessionRecord;
  #secretHash: string;
  #badFrames: BadFrameCounter | null = null;
  readonly #feed: AnswerFeed;
  #frames = 0;
  /** Frames that touch the store run one after the other, in order of arrival. */
  readonly #sequence = new TaskSequence(MAX_WAITING_FRAMES);
  #draining = false;
  #cancelExpiry: (() => void) | null = null;
  #ended = false;

  /** `streaming`: the socket asked for the extended frames. */
  constructor(
    host: SessionHost,
    socket: Socket,
    record: SessionRecord,
    owner: Principal,
    streaming: boolean,
  ) {
    this.host = host;
    this.#socket = socket;
    this.#outlet = new Outlet(host, socket, (fault) => this.#outletFailed(fault));
    this.#feed = new AnswerFeed(this, this.#outlet);
    this.#record = record;
    this.#owner = owner;
    this.streaming = streaming;
    const secret = newSessionSecret();
    this.#secretHash = hashOf(secret);
    host.sessions.create(this.#secretHash, record);
    if (owner.expiresAt !== undefined) {
      this.#cancelExpiry = host.expiry.add(owner.expiresAt, () =>
        this.close("tokenExpired", "the token expired"),
      );
    }
    this.#welcome(secret);
  }

  get owner(): Principal {
    return this.#owner;
  }

  get record(): SessionRecord {
    return this.#record;
  }

  get ended(): boolean {
    return this.#ended;
  }

  get writable(): boolean {
    return this.#outlet.writable;
  }

  /** Whether answers are on their way to this socket, or frames still being worked on. */
  get busy(): boolean {
    return this.#feed.size > 0 || this.#sequence.size > 0;
  }

  /** One text frame, already copied and within MAX_FRAME_BYTES. */
  onText(text: string): void {
    const decoded = this.host.decode(text);
    this.#frames++;
    if (!decoded.ok) {
      this.#bad(decoded.message, decoded.id);
      return;
    }
    const { frame } = decoded;
    this.host.metrics.frameReceived(frame.type);
    if (frame.type === "ping") this.#outlet.deliver("pong", PONG);
    else if (frame.type === "ack") this.#ack(this.#feed.ack(frame));
    else this.#queue(frame, this.#frames === 1);
  }

  onBinary(): void {
    this.#frames++;
    this.#bad("Binary frames are not taken; expected a text frame that holds JSON.");
  }

  onTooBig(bytes: number): void {
    const limit = this.host.limits.max_frame_bytes;
    this.host.metrics.frameReceived("invalid");
    this.#error("frame_too_big", `The frame has ${bytes} bytes; at most ${limit} are taken.`);
    this.close("frameTooBig", `at most ${limit} bytes`);
  }

  onDrain(): void {
    this.#outlet.drained(() => this.#feed.pump());
  }

  /** The socket is gone. Answers run on under their own clock. */
  onClose(): void {
    this.#end();
    this.#cancelExpiry?.();
    this.#feed.end();
    this.host.sessions.detach(this.#secretHash);
  }

  /** From now on the socket closes with 1012 as soon as it owes no answer. */
  drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    if (!this.busy) {
      this.close("restart", "the server stops");
      return;
    }
    this.notify("draining", "The server is about to stop; your answer is finished first.");
  }

  /** News for everybody; a socket that holds bytes back gets the newest of each event later. */
  notify(event: NoticeFrame["event"], message: string): void {
    this.reply({ type: "system", event, message });
  }

  close(reason: CloseReason, text: string): void {
    if (this.#ended) return;
    this.#end();
    this.#socket.end(closeCodes[reason].code, text);
  }

  reply(frame: ServerFrame): void {
    // Of a notice only the newest counts; those with a session are replies.
    const notice = frame.type === "system" && !("session" in frame) ? frame.event : undefined;
    this.#outlet.deliver(frame.type, encode(frame), notice);
  }

  refuse(error: unknown, names: { readonly id?: string; readonly answer?: string } = {}): void {
    const report = reportOf(error);
    this.host.metrics.errorSent(report.code);
    this.reply(errorFrame(report, names));
  }

  watch(ticket: Ticket, streamed: boolean, from: number): void {
    if (!this.#ended) this.#feed.watch(ticket, streamed, from);
  }

  showHistory(conversation: string, limit: number): void {
    this.#feed.showHistory({ conversation, limit });
  }

  adopt(hash: string, record: SessionRecord): void {
    this.host.sessions.drop(this.#secretHash);
    this.#secretHash = hash;
    this.#record = record;
    this.#owner = { ...this.#owner, client: record.client, publicId: record.publicId };
  }

  answered(): void {
    this.#closeWhenDrained();
  }

  #end(): void {
    this.#ended = true;
    this.#outlet.shut();
  }

  #outletFailed(fault: OutletFault): void {
    if (fault === "not_read") this.close("policy", "frames are not being read");
    else this.close("serverFault", "a frame did not fit the buffer");
  }

  #welcome(secret: string): void {
    const { message, provider, model, textMayLeave } = this.host.greeting();
    this.reply({
      type: "system",
      event: "welcome",
      message,
      session: secret,
      client: this.#owner.publicId,
      provider,
      model,
      text_may_leave: textMayLeave,
      limits: this.host.limits,
    });
  }

  #queue(frame: OrderedFrame, first: boolean): void {
    const taken = this.#sequence.add(
      () => this.#handle(frame, first),
      () => this.#closeWhenDrained(),
    );
    if (!taken) this.close("policy", "frames come faster than they can be taken");
  }

  #closeWhenDrained(): void {
    if (this.#draining && !this.busy) this.close("restart", "the server stops");
  }

  async #handle(frame: OrderedFrame, first: boolean): Promise<void> {
    try {
      await handleFrame(this, frame, first);
    } catch (error) {
      if (!(error instanceof ServiceError))
        this.host.logger.error({ err: error, type: frame.type }, "a frame failed");
      const id = "id" in frame ? frame.id : undefined;
      this.refuse(error, id === undefined ? {} : { id });
    }
  }

  #ack(fault: string | null): void {
    if (fault !== null) this.#bad(fault);
  }

  #bad(message: string, id?: string): void {
    this.host.metrics.frameReceived("invalid");
    this.#error("bad_frame", message, id);
    this.#badFrames ??= new BadFrameCounter();
    if (this.#badFrames.exceeds(this.host.maxBadFrames, this.host.clock))
      this.close("policy", "too many bad frames");
  }

  #error(code: ErrorCode, message: string, id?: string): void {
    this.refuse(new ServiceError(code, message), id === undefined ? {} : { id });
  }
}
