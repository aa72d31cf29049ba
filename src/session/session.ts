import type { SessionRecord } from "../chat/session-store.ts";
import { reportOf, ServiceError } from "../core/errors.ts";
import type { ErrorCode } from "../core/error-codes.ts";
import { hashOf, newSessionSecret } from "../core/ids.ts";
import type { Principal } from "../core/principal.ts";
import type { CancelFrame, ClientFrame, MessageFrame, ResumeFrame } from "../protocol/client-frames.ts";
import { closeCodes, type CloseReason } from "../protocol/close-codes.ts";
import type { NoticeFrame, ServerFrame, ServerFrameType } from "../protocol/server-frames.ts";
import { encode, errorFrame } from "./answer-frames.ts";
import { BadFrameCounter } from "./bad-frame-counter.ts";
import { Cursor, type CursorSink } from "./cursor.ts";
import { Outbox } from "./outbox.ts";
import type { SessionHost } from "./session-host.ts";
import type { Socket } from "./socket.ts";
import { submissionOf } from "./submission-of.ts";
import { TaskSequence } from "./task-sequence.ts";

const PONG = encode({ type: "pong" });

/** Frames that may wait while a `resume` or a submission before them is on its way to the store. */
const MAX_WAITING_FRAMES = 64;

/** The state machine of one connection: frames in, frames out, cursors over answers. */
export class Session implements CursorSink {
  readonly clock;
  readonly #host: SessionHost;
  readonly #socket: Socket;
  readonly #streaming: boolean;
  #owner: Principal;
  #record: SessionRecord;
  #secretHash: string;
  #blocked = false;
  #outbox: Outbox | null = null;
  #badFrames: BadFrameCounter | null = null;
  readonly #cursors = new Map<string, Cursor>();
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
    this.#host = host;
    this.clock = host.clock;
    this.#socket = socket;
    this.#record = record;
    this.#owner = owner;
    this.#streaming = streaming;
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

  get writable(): boolean {
    return !this.#blocked && !this.#ended;
  }

  /** Whether answers are on their way to this socket, or frames still being worked on. */
  get busy(): boolean {
    return this.#cursors.size > 0 || this.#sequence.size > 0;
  }

  /** One text frame, already copied and within MAX_FRAME_BYTES. */
  onText(text: string): void {
    const decoded = this.#host.decode(text);
    this.#frames++;
    if (!decoded.ok) {
      this.#bad(decoded.message, decoded.id);
      return;
    }
    const { frame } = decoded;
    this.#host.metrics.frameReceived(frame.type);
    if (frame.type === "ping") this.#deliver("pong", PONG);
    else this.#queue(frame, this.#frames === 1);
  }

  onBinary(): void {
    this.#frames++;
    this.#bad("Binary frames are not taken; expected a text frame that holds JSON.");
  }

  onTooBig(bytes: number): void {
    const limit = this.#host.limits.max_frame_bytes;
    this.#host.metrics.frameReceived("invalid");
    this.#error("frame_too_big", `The frame has ${bytes} bytes; at most ${limit} are taken.`);
    this.close("frameTooBig", `at most ${limit} bytes`);
  }

  onDrain(): void {
    if (!this.#blocked || this.#ended || this.#socket.bufferedBytes() > 0) return;
    this.#blocked = false;
    this.#socket.cork(() => {
      while (this.writable) {
        const frame = this.#outbox?.take();
        if (frame === undefined) break;
        this.#deliver(frame.type as ServerFrameType, frame.text);
      }
      for (const [answer, cursor] of this.#cursors) {
        cursor.pump();
        if (this.writable) continue;
        // Who filled the socket comes last the next time: on a slow one the others would never have their turn.
        if (this.#cursors.delete(answer)) this.#cursors.set(answer, cursor);
        break;
      }
    });
  }

  /** The socket is gone. Answers run on under their own clock. */
  onClose(): void {
    this.#ended = true;
    this.#cancelExpiry?.();
    for (const cursor of this.#cursors.values()) cursor.leave();
    this.#cursors.clear();
    this.#host.sessions.detach(this.#secretHash);
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
    this.#send({ type: "system", event, message });
  }

  close(reason: CloseReason, text: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#socket.end(closeCodes[reason].code, text);
  }

  send(type: ServerFrameType, text: string): void {
    if (this.#ended) return;
    this.#host.metrics.frameSent(type);
    const result = this.#socket.send(text);
    if (result === "sent") return;
    this.#blocked = true;
    if (result === "queued") return;
    this.#host.logger.error({ type, bytes: text.length }, "a frame did not fit the socket's buffer");
    this.close("serverFault", "a frame did not fit the buffer");
  }

  errorSent(code: ErrorCode): void {
    this.#host.metrics.errorSent(code);
  }

  done(cursor: Cursor): void {
    this.#cursors.delete(cursor.reader.meta.answer);
    this.#closeWhenDrained();
  }

  #welcome(secret: string): void {
    const { message, provider, model, textMayLeave } = this.#host.greeting();
    this.#send({
      type: "system",
      event: "welcome",
      message,
      session: secret,
      client: this.#owner.publicId,
      provider,
      model,
      text_may_leave: textMayLeave,
      limits: this.#host.limits,
    });
  }

  #queue(frame: Exclude<ClientFrame, { type: "ping" }>, first: boolean): void {
    const taken = this.#sequence.add(
      () => this.#handle(frame, first),
      () => this.#closeWhenDrained(),
    );
    if (!taken) this.close("policy", "frames come faster than they can be taken");
  }

  #closeWhenDrained(): void {
    if (this.#draining && !this.busy) this.close("restart", "the server stops");
  }

  async #handle(frame: Exclude<ClientFrame, { type: "ping" }>, first: boolean): Promise<void> {
    try {
      if (frame.type === "message") await this.#message(frame);
      else if (frame.type === "cancel") this.#cancel(frame);
      else await this.#resume(frame, first);
    } catch (error) {
      if (!(error instanceof ServiceError))
        this.#host.logger.error({ err: error, type: frame.type }, "a frame failed");
      const report = reportOf(error);
      const id = "id" in frame ? frame.id : undefined;
      this.errorSent(report.code);
      this.#send(errorFrame(report, id === undefined ? {} : { id }));
    }
  }

  async #message(frame: MessageFrame): Promise<void> {
    const ticket = await this.#host.chat.submit(
      submissionOf(frame, this.#owner, this.#record.ownConversation),
    );
    if (this.#ended || this.#cursors.has(ticket.reader.meta.answer)) return;
    const cursor = new Cursor(ticket, frame.stream ?? this.#streaming, this);
    this.#cursors.set(ticket.reader.meta.answer, cursor);
    cursor.pump();
  }

  #cancel(frame: CancelFrame): void {
    const { answer, id, conversation } = frame;
    const name =
      answer !== undefined
        ? { answer }
        : { id: id as string, conversation: conversation ?? this.#record.ownConversation };
    if (this.#host.chat.cancel(this.#owner.client, name)) return;
    throw new ServiceError("unknown_answer", "No answer of yours by that name is running.");
  }

  async #resume(frame: ResumeFrame, first: boolean): Promise<void> {
    if (!first) throw new ServiceError("resume_late", "resume must be the first frame after the welcome.");
    const hash = hashOf(frame.session);
    const { authenticated, client } = this.#owner;
    // Knowing the secret is not enough: a session of a subject belongs to that subject's sockets.
    const record = await this.#host.sessions.attach(
      hash,
      (kept) => kept.authenticated === authenticated && (!authenticated || kept.client === client),
    );
    if (record === undefined) {
      throw new ServiceError(
        "resume_expired",
        "That session is unknown or expired; this connection has a new one.",
      );
    }
    if (this.#ended) {
      this.#host.sessions.detach(hash);
      return;
    }
    this.#host.sessions.drop(this.#secretHash);
    this.#secretHash = hash;
    this.#record = record;
    this.#owner = { ...this.#owner, client: record.client, publicId: record.publicId };
    this.#send({
      type: "system",
      event: "resumed",
      message: "Welcome back: your conversation and context are here.",
      session: frame.session,
      client: record.publicId,
    });
  }

  #bad(message: string, id?: string): void {
    this.#host.metrics.frameReceived("invalid");
    this.#error("bad_frame", message, id);
    this.#badFrames ??= new BadFrameCounter();
    if (this.#badFrames.exceeds(this.#host.maxBadFrames, this.clock))
      this.close("policy", "too many bad frames");
  }

  #error(code: ErrorCode, message: string, id?: string): void {
    this.errorSent(code);
    this.#send(errorFrame(new ServiceError(code, message).report(), id === undefined ? {} : { id }));
  }

  #send(frame: ServerFrame): void {
    // Of a notice only the newest counts; those with a session are replies.
    const notice = frame.type === "system" && !("session" in frame) ? frame.event : undefined;
    this.#deliver(frame.type, encode(frame), notice);
  }

  /** A frame outside any answer: sent now, or kept in the outbox while the socket holds bytes back. */
  #deliver(type: ServerFrameType, text: string, notice?: string): void {
    if (this.writable) {
      this.send(type, text);
      return;
    }
    if (this.#ended) return;
    this.#outbox ??= new Outbox();
    if (!this.#outbox.add(type, text, notice)) this.close("policy", "frames are not being read");
  }
}
