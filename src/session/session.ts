import type { VerifiedToken } from "../auth/token-verifier.ts";
import type { AnswerHandle } from "../chat/running-answer.ts";
import type { SessionRecord } from "../chat/session-store.ts";
import { reportOf, ServiceError } from "../core/errors.ts";
import { hashOf, newSessionSecret } from "../core/ids.ts";
import type { Principal } from "../core/principal.ts";
import type { AckFrame } from "../protocol/client-frames.ts";
import { closeCodes, type CloseReason } from "../protocol/close-codes.ts";
import { idOf } from "../protocol/codec.ts";
import type { NoticeFrame, ServerFrame } from "../protocol/server-frames.ts";
import { AnswerFeed, type FeedOwner } from "./delivery/answer-feed.ts";
import { encode, errorFrame } from "./delivery/answer-frames.ts";
import type { CursorOptions } from "./delivery/cursor.ts";
import type { Expiring } from "./expiry-wheel.ts";
import { handleFrame, type Connection, type OrderedFrame } from "./frame-handlers.ts";
import type { FrameSource, WaitingFrame } from "./limits/frame-turns.ts";
import { InboundGuard } from "./limits/inbound-guard.ts";
import { SocketWriter, type WriteFault, type SocketWriterOwner } from "./delivery/socket-writer.ts";
import { welcomeFrame, type SessionHost } from "./session-host.ts";
import type { Socket } from "./delivery/socket.ts";
import { SerialQueue } from "./serial-queue.ts";

const PONG = Buffer.from(encode({ type: "pong" }));

/** Maximum number of frames that wait while an earlier one, such as a `resume`, waits for the store. */
const MAX_WAITING_FRAMES = 64;

/** Arguments of {@link Session.open}. */
export interface SessionInit {
  readonly socket: Socket;
  readonly record: SessionRecord;
  readonly owner: Principal;
  /** Whether the socket requested the extended frames. */
  readonly streaming: boolean;
}

/** The state of one connection: handles its frames, and delivers answers through cursors. */
export class Session implements Connection, Expiring, FeedOwner, FrameSource, SocketWriterOwner {
  readonly host: SessionHost;
  readonly streaming: boolean;
  waiting: WaitingFrame[] | null = null;
  readonly #socket: Socket;
  readonly #writer: SocketWriter;
  #owner: Principal;
  #record: SessionRecord;
  #secretHash: string;
  // The next three are created on demand: most sockets are idle.
  #guard: InboundGuard | null = null;
  #feed: AnswerFeed | null = null;
  /** Handles the frames that access the store one at a time, in order of arrival. */
  #serial: SerialQueue | null = null;
  #frames = 0;
  #draining = false;
  /** The socket is closed as soon as it is no longer busy. */
  #retired = false;
  /** Bucket of the expiry wheel that holds this session; null without a token. */
  #expirySecond: number | null = null;
  #ended = false;

  /** Without side effects; {@link Session.open} registers the session. */
  constructor(host: SessionHost, secretHash: string, { socket, record, owner, streaming }: SessionInit) {
    this.host = host;
    this.#socket = socket;
    this.#writer = new SocketWriter(host, socket, this);
    this.#record = record;
    this.#owner = owner;
    this.streaming = streaming;
    this.#secretHash = secretHash;
  }

  /** Opens the session of a new socket: stores its record, registers the socket and sends the welcome. */
  static open(host: SessionHost, init: SessionInit): Session {
    const secret = newSessionSecret();
    const session = new Session(host, hashOf(secret), init);
    host.sessions.create(session.#secretHash, init.record);
    session.#expirySecond = host.expiry.move(null, init.owner.expiresAt, session);
    host.clients.enter(init.owner.client, session);
    session.reply(welcomeFrame(host, secret, init.owner));
    return session;
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

  /** Whether answers are being delivered or frames are being handled. */
  get busy(): boolean {
    return this.waiting !== null || (this.#feed?.size ?? 0) > 0 || (this.#serial?.size ?? 0) > 0;
  }

  /** Receives one text frame of less than MIN_LARGE_BYTES. */
  onText(text: string): void {
    if (this.waiting === null) this.#receive(text, false);
    else this.host.turns.run(this, text.length, () => this.#receive(text, true));
  }

  /** Receives one text frame of at most MAX_FRAME_BYTES, as UTF-8 that stays unchanged. */
  onLargeText(bytes: Buffer): void {
    this.host.turns.run(this, bytes.length, () => this.#receive(bytes.toString("utf8"), true));
  }

  /** `inTurn`: whether the event loop has time for the frame, so that it need not wait. */
  #receive(text: string, inTurn: boolean): void {
    const decoded = this.host.decode(text);
    const type = decoded.ok ? decoded.frame.type : "invalid";
    this.#frames++;
    this.host.metrics.frameReceived(type);
    this.#guard ??= new InboundGuard(this.host);
    // An `ack` counts even if it exceeds the rate; otherwise a refusal could stall an answer.
    if (decoded.ok && decoded.frame.type === "ack") this.#ack(decoded.frame);
    const tooFast = this.#guard.admit(type);
    if (tooFast !== null) this.refuse(tooFast, idOf(decoded));
    else if (!decoded.ok) this.refuse(new ServiceError("bad_frame", decoded.message), idOf(decoded));
    else if (decoded.frame.type === "ping") this.#writer.deliver("pong", PONG);
    else if (decoded.frame.type !== "ack") this.#queue(decoded.frame, this.#frames === 1, inTurn);
    if (inTurn) this.#closeWhenRetired();
  }

  onBinary(): void {
    const message = "Binary frames are not supported; send a text frame that holds JSON.";
    this.#frames++;
    this.host.metrics.frameReceived("invalid");
    this.#guard ??= new InboundGuard(this.host);
    this.refuse(this.#guard.admit("invalid") ?? new ServiceError("bad_frame", message));
  }

  /** Counts a ping or pong of the WebSocket protocol. The library has already queued the reply to a ping. */
  onControl(): void {
    this.#socket.bufferedBytes();
    this.#guard ??= new InboundGuard(this.host);
    const tooFast = this.#guard.admit("control");
    // An error frame for each ping would be more than the client has sent.
    const decision = tooFast === null ? null : this.#guard.refused(tooFast);
    if (decision !== null) this.close(decision.reason, decision.text);
  }

  onTooBig(bytes: number): void {
    const limit = this.host.limits.max_frame_bytes;
    this.host.metrics.frameReceived("invalid");
    const message = `The frame has ${bytes} bytes; the maximum is ${limit}.`;
    this.refuse(new ServiceError("frame_too_big", message, { limit: "frame_bytes" }));
    this.close("frameTooBig", `at most ${limit} bytes`);
  }

  onDrain(): void {
    this.#writer.drained(() => this.#feed?.pump());
  }

  /** Releases what the closed socket held. Its answers continue, and are abandoned if no other socket watches them. */
  onClose(): void {
    this.#end();
    this.#expirySecond = this.host.expiry.move(this.#expirySecond, undefined, this);
    this.host.clients.leave(this.#owner.client, this);
    this.host.sessions.detach(this.#secretHash);
  }

  /** Announces that the server stops within `ms` milliseconds. The socket is closed when its answers have ended. */
  drain(ms: number): void {
    if (this.#draining) return;
    this.#draining = true;
    if (this.streaming) this.reply({ type: "goaway", reason: "restart", deadline_ms: ms, resumable: false });
    else this.notify("draining", "The server is about to stop; running answers are finished first.");
  }

  /** Closes the socket with 1012, at once or when its answers are delivered. */
  retire(): void {
    this.#retired = true;
    this.#closeWhenRetired();
  }

  /** Cuts the socket because its unsent bytes use too much memory. The client can reconnect and resume its answers. */
  closeToFreeMemory(): void {
    this.host.metrics.limitHit("buffered_bytes");
    this.#end();
    this.#socket.terminate();
  }

  /** Sends a notice. While the socket is blocked, only the newest notice of each event is kept. */
  notify(event: NoticeFrame["event"], message: string): void {
    this.reply({ type: "system", event, message });
  }

  close(reason: CloseReason, text: string): void {
    if (this.#ended) return;
    this.#end();
    this.#socket.end(closeCodes[reason].code, text);
  }

  reply(frame: ServerFrame): void {
    // A newer notice replaces a waiting one. welcome, resumed and auth_refreshed are replies and never replaced.
    const isNotice = frame.type === "system" && !("session" in frame) && frame.event !== "auth_refreshed";
    this.#writer.deliver(frame.type, encode(frame), isNotice ? frame.event : undefined);
  }

  refuse(error: unknown, names: { readonly id?: string; readonly answer?: string } = {}): void {
    const report = reportOf(error);
    this.host.metrics.errorSent(report.code);
    this.reply(errorFrame(report, names));
    this.#guard ??= new InboundGuard(this.host);
    const decision = this.#guard.refused(error instanceof ServiceError ? error : report);
    if (decision !== null) this.close(decision.reason, decision.text);
  }

  watch(handle: AnswerHandle, options: CursorOptions): void {
    if (!this.#ended) this.#openFeed().watch(handle, options);
  }

  showHistory(conversation: string, limit: number): void {
    if (!this.#ended) this.#openFeed().showHistory({ conversation, limit });
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
    this.#expirySecond = this.host.expiry.move(this.#expirySecond, expiresAt, this);
  }

  expired(): void {
    this.close("tokenExpired", "the token expired");
  }

  answered(): void {
    if (this.#draining) this.retire();
  }

  #openFeed(): AnswerFeed {
    return (this.#feed ??= new AnswerFeed(this, this.#writer));
  }

  #end(): void {
    this.#ended = true;
    this.host.turns.drop(this);
    this.#writer.shut();
    // The socket may take a while to close, and must not count as a reader of its answers meanwhile.
    this.#feed?.end();
  }

  writeFailed(fault: WriteFault): void {
    if (fault === "not_read") this.close("policy", "the client does not read its frames");
    else this.close("serverFault", "a frame did not fit the buffer");
  }

  #queue(frame: OrderedFrame, first: boolean, inTurn: boolean): void {
    if (!inTurn) {
      this.host.turns.run(this, 0, () => this.#queue(frame, first, true));
      return;
    }
    this.#serial ??= new SerialQueue(MAX_WAITING_FRAMES);
    const accepted = this.#serial.add(
      () => this.#handle(frame, first),
      () => this.#closeWhenRetired(),
    );
    if (!accepted) this.close("policy", "frames arrive faster than they can be handled");
  }

  #closeWhenRetired(): void {
    if (this.#retired && !this.busy) this.close("restart", "the server is shutting down");
  }

  async #handle(frame: OrderedFrame, first: boolean): Promise<void> {
    try {
      await handleFrame(this, frame, first);
    } catch (error) {
      if (!(error instanceof ServiceError))
        this.host.logger.error({ err: error, type: frame.type }, "frame handler failed");
      this.refuse(error, "id" in frame && frame.id !== undefined ? { id: frame.id } : {});
    }
  }

  #ack(frame: AckFrame): void {
    const fault = this.#feed?.ack(frame) ?? null;
    if (fault !== null) this.refuse(new ServiceError("bad_frame", fault));
  }
}
