import type {
  ErrorFrame,
  HistoryReplyFrame,
  ServerFrame,
  WelcomeFrame,
} from "../../src/protocol/server-frames.ts";
import type { ClientEnvironment, ClientEvent, ConnectionState } from "./client-events.ts";
import { Connection, type Endpoint } from "./connection.ts";
import { PendingAnswers, type Earlier } from "./pending-answers.ts";
import { AckSender } from "./ack-sender.ts";

export interface OutgoingMessage {
  readonly text: string;
  readonly conversation: string;
  /** Of the message on the wire; a new one without. */
  readonly id?: string;
}

/** A message of before a reload whose answer was not whole then. */
export interface EarlierMessage {
  readonly id: string;
  /** Undefined where another page sent it. */
  readonly text: string | undefined;
  readonly earlier: Earlier;
}

/** The shape of a JWT; anything else could not even be offered as a subprotocol. */
export const TOKEN_SHAPE = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/**
 * One chat connection that outlives its sockets. It reconnects as the close codes say, takes its session and its answers
 * up where they were cut, sends once more under their own ids the messages whose answers it cannot take up, and delivers
 * each answer's text exactly once.
 */
export class ChatClient {
  readonly #environment: ClientEnvironment;
  readonly #listeners = new Set<(event: ClientEvent) => void>();
  readonly #connection: Connection;
  readonly #answers: PendingAnswers;
  readonly #acks: AckSender;
  #welcome: WelcomeFrame | undefined;
  #resuming = false;
  /** With the token that the server was asked to take. */
  #renewing: Endpoint | undefined;
  /** The conversation whose history is to be read before anything is sent. */
  #unread: string | undefined;

  constructor(endpoint: Endpoint, environment: ClientEnvironment) {
    this.#environment = environment;
    this.#connection = new Connection(endpoint, environment, {
      frame: (frame) => this.#receive(frame),
      state: (state) => this.#emit({ type: "state", state }),
      gone: (code) => this.#gone(code),
    });
    this.#acks = new AckSender((ms, callback) => environment.after(ms, callback), this.#transmit);
    this.#answers = new PendingAnswers({
      emit: (event) => this.#emit(event),
      grew: () => this.#connection.progressed(),
      shown: (answer, to) => this.#acks.shown(answer, to),
      finished: (answer) => this.#acks.finished(answer),
    });
  }

  get state(): ConnectionState {
    return this.#connection.state;
  }

  /** What the server said of itself on the present or last connection. */
  get welcome(): WelcomeFrame | undefined {
    return this.#welcome;
  }

  /** Calls `listener` with every event until the returned function is called. */
  subscribe(listener: (event: ClientEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Connects now, also while a delay runs or after a refusal; nothing happens while connected. */
  connect(): void {
    this.#connection.connect();
  }

  /** Changes the endpoint or the token and connects anew; unanswered messages go along. */
  use(endpoint: Endpoint): void {
    this.#connection.use(endpoint);
  }

  /** Goes on with a new token of the same person, without a new connection where there is one. */
  renew(endpoint: Endpoint & { readonly token: string }): void {
    if (this.state.phase !== "open") {
      this.use(endpoint);
      return;
    }
    this.#renewing = endpoint;
    this.#connection.endpoint = endpoint;
    this.#transmit({ type: "auth.refresh", token: endpoint.token });
  }

  /** Closes the socket and stays away until `connect()`. */
  disconnect(): void {
    this.#connection.disconnect();
  }

  /** Sends now, or as soon as there is a connection. Returns the message's id. */
  send(outgoing: OutgoingMessage): string {
    const id = outgoing.id ?? this.#environment.newId();
    this.#answers.add(id, outgoing.conversation, outgoing.text);
    if (this.#mayTransmit) this.#answers.transmit(id, this.#transmit, this.#welcome?.limits);
    return id;
  }

  /** Stops an answer; its text so far stays. Without a connection the message is withdrawn on the spot. */
  cancel(id: string): void {
    this.#answers.cancel(id, this.state.phase === "open" ? this.#transmit : undefined);
  }

  /** Gives all unanswered messages up, because the identity they belong to is given up. */
  withdrawAll(): void {
    this.#unread = undefined;
    this.#answers.withdrawAll();
  }

  isPending(id: string): boolean {
    return this.#answers.has(id);
  }

  /**
   * Goes on with a conversation after the page was loaded anew: the server tells its history first, as an event, and
   * what is unanswered still when the listeners have seen it is resumed or sent again.
   */
  restore(conversation: string, messages: readonly EarlierMessage[]): void {
    this.#unread = conversation;
    for (const { id, text, earlier } of messages) this.#answers.add(id, conversation, text, earlier);
  }

  /** The answer to a message was learned from the history. */
  settle(id: string): void {
    this.#answers.settle(id);
  }

  /**
   * Watches answers that another page of the client asked for. Answers are taken up with the first frame of a socket
   * only, so this connects anew.
   */
  watch(conversation: string, answers: HistoryReplyFrame["running"]): void {
    for (const { answer, id } of answers) {
      this.#answers.add(id, conversation, undefined, { answer, text: "" });
    }
    if (answers.length > 0) this.#connection.reopen();
  }

  get #mayTransmit(): boolean {
    return this.state.phase === "open" && !this.state.leaving && this.#unread === undefined;
  }

  readonly #transmit = (frame: object): void => this.#connection.send(frame);

  #transmitAll(): void {
    if (this.#mayTransmit) this.#answers.transmitAll(this.#transmit, this.#welcome?.limits);
  }

  #gone(code: number | undefined): void {
    this.#resuming = false;
    this.#renewing = undefined;
    this.#acks.reset();
    if (code === 1009) this.#answers.failAll("too_long", "The message is too long for the server.");
  }

  #receive(frame: ServerFrame): void {
    if (frame.type === "system") {
      if (frame.event === "welcome") this.#welcomed(frame);
      else if (frame.event === "resumed") this.#settle("resumed", frame.session);
      else if (frame.event === "auth_refreshed") this.#renewing = undefined;
      else this.#emit({ type: "notice", frame });
    } else if (frame.type === "history") {
      this.#readHistory(frame);
    } else if (frame.type === "goaway") {
      this.#connection.leave(frame);
    } else if (frame.type === "error" && frame.id === undefined && frame.answer === undefined) {
      this.#refused(frame);
    } else {
      const { state } = this;
      // The server stops: what it cuts short is asked again of the one that comes after it.
      if (state.phase === "open" && state.leaving && this.#answers.isCutShort(frame)) return;
      const again = this.#answers.take(frame);
      if (again !== undefined && this.#mayTransmit) {
        this.#answers.transmit(again, this.#transmit, this.#welcome?.limits);
      }
    }
  }

  #welcomed(frame: WelcomeFrame): void {
    this.#welcome = frame;
    this.#emit({ type: "welcome", frame });
    const earlier = this.#environment.session.load();
    if (earlier === null) {
      this.#settle("new", frame.session);
      return;
    }
    this.#resuming = true;
    const answers = this.#answers.resumable();
    this.#transmit({ type: "resume", session: earlier, ...(answers.length > 0 && { answers }) });
  }

  /** The session stands: everything unanswered that was not resumed goes out (again). */
  #settle(outcome: "new" | "resumed" | "lost", session: string | null): void {
    if (outcome !== "resumed") this.#answers.nothingResumed();
    this.#resuming = false;
    this.#environment.session.save(session);
    this.#connection.settled();
    this.#emit({ type: "session", outcome });
    if (this.#unread === undefined) this.#transmitAll();
    else this.#transmit({ type: "history", conversation: this.#unread });
  }

  #readHistory(frame: HistoryReplyFrame): void {
    if (frame.conversation !== this.#unread) return;
    this.#unread = undefined;
    this.#emit({ type: "history", frame });
    this.#transmitAll();
  }

  /** An error that names no message. */
  #refused(frame: ErrorFrame): void {
    if (this.#resuming) {
      // `resume` is all that was sent so far, so this is its refusal.
      this.#settle("lost", this.#welcome?.session ?? null);
    } else if (this.#renewing !== undefined && frame.code === "token_refused") {
      // A new connection says why, with its close code.
      this.use(this.#renewing);
    } else if (this.#unread !== undefined && this.state.phase === "open") {
      // No history to be had: what is unanswered goes out without it.
      this.#unread = undefined;
      this.#transmitAll();
    } else {
      this.#answers.take(frame);
    }
  }

  #emit(event: ClientEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }
}
