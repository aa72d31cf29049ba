import type { VerifiedToken } from "../auth/token-verifier.ts";
import type { AnswerHandle } from "../chat/running-answer.ts";
import type { SessionRecord } from "../chat/session-store.ts";
import { reportOf, ServiceError } from "../core/errors.ts";
import { hashOf, newSessionSecret } from "../core/ids.ts";
import type { Principal } from "../core/principal.ts";
import type { AckFrame } from "../protocol/client-frames.ts";
import { closeCodes, retryAfterReason, type CloseReason } from "../protocol/close-codes.ts";
import type { Decoded } from "../protocol/codec.ts";
import type { NoticeFrame, ServerFrame } from "../protocol/server-frames.ts";
import { AnswerFeed, type FeedOwner } from "./delivery/answer-feed.ts";
import { encode, errorFrame } from "./delivery/answer-frames.ts";
import type { Expiring } from "./expiry-wheel.ts";
import { handleFrame, type Connection, type OrderedFrame } from "./frame-handlers.ts";
import { InboundGuard } from "./limits/inbound-guard.ts";
import { SocketWriter, type WriteFault, type SocketWriterOwner } from "./delivery/socket-writer.ts";
import type { SessionHost } from "./session-host.ts";
import type { Socket } from "./delivery/socket.ts";
import { SerialQueue } from "./serial-queue.ts";

/** Until a slow reader that was closed may try again. */
const RETRY_AFTER_MS = 5000;

const PONG = Buffer.from(encode({ type: "pong" }));

/** Frames that may wait while a `resume` or a submission before them is on its way to the store. */
const MAX_WAITING_FRAMES = 64;

/** The state machine of one connection: frames in, frames out, cursors over answers. */
export class Session implements Connection, Expiring, FeedOwner, SocketWriterOwner {
  readonly host: SessionHost;
  readonly streaming: boolean;
  readonly #socket: Socket;
  readonly #writer: SocketWriter;
  #owner: Principal;
  #record: SessionRecord;
  #secretHash: string;
  /** Made for the first frame: a socket that only listens needs none. */
  #guard: InboundGuard | null = null;
  /** These two are made when they are needed: most sockets are idle. */
  #feed: AnswerFeed | null = null;
  /** Frames that touch the store run one after the other, in order of arrival. */
  #serial: SerialQueue | null = null;
  #frames = 0;
  #draining = false;
  /** Closes as soon as it owes nothing. */
  #retired = false;
  /** Where it waits in the wheel; null without a token. */
  #expirySecond: number | null = null;
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
    this.#writer = new SocketWriter(host, socket, this);
    this.#record = record;
    this.#owner = owner;
    this.streaming = streaming;
    const secret = newSessionSecret();
    this.#secretHash = hashOf(secret);
    host.sessions.create(this.#secretHash, record);
    this.#expireAt(owner.expiresAt);
    host.clients.enter(owner.client, this);
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
    return this.#writer.writable;
  }

  /** Whether answers are on their way to this socket, or frames still being worked on. */
  get busy(): boolean {
    return (this.#feed?.size ?? 0) > 0 || (this.#serial?.size ?? 0) > 0;
  }

  /** One text frame, already copied and within MAX_FRAME_BYTES. */
  onText(text: string): void {
    const decoded = this.host.decode(text);
    const type = decoded.ok ? decoded.frame.type : "invalid";
    this.#frames++;
    this.host.metrics.frameReceived(type);
    this.#guard ??= new InboundGuard(this.host);
    // The highest offset of an `ack` counts whatever the rate, so that a refusal never stalls an answer.
    if (decoded.ok && decoded.frame.type === "ack") this.#ack(decoded.frame);
    const tooFast = this.#guard.admit(type);
    if (tooFast !== null) this.refuse(tooFast, namesOf(decoded));
    else if (!decoded.ok) this.refuse(new ServiceError("bad_frame", decoded.message), namesOf(decoded));
    else if (decoded.frame.type === "ping") this.#writer.deliver("pong", PONG);
    else if (decoded.frame.type !== "ack") this.#queue(decoded.frame, this.#frames === 1);
  }

  onBinary(): void {
    this.#frames++;
    this.host.metrics.frameReceived("invalid");
    this.#guard ??= new InboundGuard(this.host);
    const message = "Binary frames are not taken; expected a text frame that holds JSON.";
    this.refuse(this.#guard.admit("invalid") ?? new ServiceError("bad_frame", message));
  }

  onTooBig(bytes: number): void {
    const limit = this.host.limits.max_frame_bytes;
    this.host.metrics.frameReceived("invalid");
    const message = `The frame has ${bytes} bytes; at most ${limit} are taken.`;
    this.refuse(new ServiceError("frame_too_big", message, { limit: "frame_bytes" }));
    this.close("frameTooBig", `at most ${limit} bytes`);
  }

  onDrain(): void {
    this.#writer.drained(() => this.#feed?.pump());
  }

  /** The socket is gone. Answers run on under their own clock. */
  onClose(): void {
    this.#end();
    this.#stopExpiry();
    this.host.clients.leave(this.#owner.client, this);
    this.#feed?.end();
    this.host.sessions.detach(this.#secretHash);
  }

  /** Tells the client that the server stops within `ms`; the socket closes with 1012 at the end of its answer. */
  drain(ms: number): void {
    if (this.#draining) return;
    this.#draining = true;
    if (this.streaming) this.reply({ type: "goaway", reason: "restart", deadline_ms: ms, resumable: false });
    else this.notify("draining", "The server is about to stop; an answer on its way is finished first.");
  }

  /** Closes with 1012, at once or when the answers on their way are there. */
  retire(): void {
    this.#retired = true;
    this.#closeWhenRetired();
  }

  /** Closes because it holds too much memory; what it has not read can be resumed. */
  closeToFreeMemory(): void {
    this.host.metrics.limitHit("buffered_bytes");
    this.close("overloaded", retryAfterReason(RETRY_AFTER_MS));
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
    // Of news only the newest counts; welcome, resumed and auth_refreshed are replies.
    const isNews = frame.type === "system" && !("session" in frame) && frame.event !== "auth_refreshed";
    this.#writer.deliver(frame.type, encode(frame), isNews ? frame.event : undefined);
  }

  refuse(error: unknown, names: { readonly id?: string; readonly answer?: string } = {}): void {
    const report = reportOf(error);
    this.host.metrics.errorSent(report.code);
    this.reply(errorFrame(report, names));
    this.#guard ??= new InboundGuard(this.host);
    const decision = this.#guard.refused(error instanceof ServiceError ? error : report);
    if (decision !== null) this.close(decision.reason, decision.text);
  }

  watch(ticket: AnswerHandle, streamed: boolean, from: number): void {
    if (!this.#ended) this.#reading().watch(ticket, streamed, from);
  }

  showHistory(conversation: string, limit: number): void {
    this.#reading().showHistory({ conversation, limit });
  }

  adopt(hash: string, record: SessionRecord): boolean {
    const { clients } = this.host;
    const { client } = this.#owner;
    if (client !== record.client) {
      if (!clients.enter(record.client, this)) return false;
      clients.leave(client, this);
    }
    this.host.sessions.drop(this.#secretHash);
    this.#secretHash = hash;
    this.#record = record;
    this.#owner = { ...this.#owner, client: record.client, publicId: record.publicId };
    return true;
  }

  renew({ expiresAt, weight }: VerifiedToken): void {
    this.#owner = { ...this.#owner, expiresAt, weight };
    this.#stopExpiry();
    this.#expireAt(expiresAt);
  }

  expired(): void {
    this.close("tokenExpired", "the token expired");
  }

  answered(): void {
    if (this.#draining) this.retire();
  }

  #reading(): AnswerFeed {
    return (this.#feed ??= new AnswerFeed(this, this.#writer));
  }

  #end(): void {
    this.#ended = true;
    this.#writer.shut();
  }

  writeFailed(fault: WriteFault): void {
    if (fault === "not_read") this.close("policy", "frames are not being read");
    else this.close("serverFault", "a frame did not fit the buffer");
  }

  #welcome(secret: string): void {
    const { message, provider, model, textMayLeave } = this.host.welcome();
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
    this.#serial ??= new SerialQueue(MAX_WAITING_FRAMES);
    const taken = this.#serial.add(
      () => this.#handle(frame, first),
      () => this.#closeWhenRetired(),
    );
    if (!taken) this.close("policy", "frames come faster than they can be taken");
  }

  #closeWhenRetired(): void {
    if (this.#retired && !this.busy) this.close("restart", "the server stops");
  }

  async #handle(frame: OrderedFrame, first: boolean): Promise<void> {
    try {
      await handleFrame(this, frame, first);
    } catch (error) {
      if (!(error instanceof ServiceError))
        this.host.logger.error({ err: error, type: frame.type }, "a frame failed");
      this.refuse(error, "id" in frame && frame.id !== undefined ? { id: frame.id } : {});
    }
  }

  #ack(frame: AckFrame): void {
    const fault = this.#feed?.ack(frame) ?? null;
    if (fault !== null) this.refuse(new ServiceError("bad_frame", fault));
  }

  #expireAt(second: number | undefined): void {
    if (second === undefined) return;
    this.#expirySecond = this.host.expiry.add(second, this);
  }

  #stopExpiry(): void {
    if (this.#expirySecond !== null) this.host.expiry.remove(this.#expirySecond, this);
    this.#expirySecond = null;
  }
}

function namesOf(decoded: Decoded): { readonly id?: string } {
  const id = decoded.ok ? (decoded.frame as { readonly id?: string }).id : decoded.id;
  return id === undefined ? {} : { id };
}
