import type {
  ErrorFrame,
  HistoryReplyFrame,
  ServerFrame,
  WelcomeFrame,
} from "../../src/protocol/server-frames.ts";
import type { ClientEnvironment, ClientEvent, ConnectionState } from "./client-events.ts";
import { Connection, type Endpoint } from "./connection.ts";
import type { PartialAnswer } from "./pending-answer.ts";
import { PendingAnswers } from "./pending-answers.ts";
import { AckSender } from "./ack-sender.ts";

export interface OutgoingMessage {
  readonly text: string;
  readonly conversation: string;
  /** Id of the message on the wire. Generated if absent. */
  readonly id?: string;
}

/** A message from before a reload whose answer was incomplete at that time. */
export interface RestoredMessage {
  readonly id: string;
  /** Undefined if another page sent the message. */
  readonly text: string | undefined;
  readonly partial: PartialAnswer;
}

/** Shape of a JWT. Other text may not be allowed in the name of a subprotocol. */
export const TOKEN_SHAPE = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/**
 * A chat connection that survives the loss of its socket. It reconnects according to the close code and resumes its
 * session and its answers at the first missing byte. Messages whose answers cannot be resumed are sent again with the
 * same id. The text of each answer is emitted exactly once.
 */
export class ChatClient {
  readonly #environment: ClientEnvironment;
  readonly #listeners = new Set<(event: ClientEvent) => void>();
  readonly #connection: Connection;
  readonly #answers: PendingAnswers;
  readonly #acks: AckSender;
  #welcome: WelcomeFrame | undefined;
  #resuming = false;
  /** Endpoint with the new token, while its `auth.refresh` is unanswered. */
  #renewing: Endpoint | undefined;
  /** Conversation whose history must arrive before messages may be sent. */
  #awaitedHistory: string | undefined;

  constructor(endpoint: Endpoint, environment: ClientEnvironment) {
    this.#environment = environment;
    this.#connection = new Connection(endpoint, environment, {
      frame: (frame) => this.#receive(frame),
      state: (state) => this.#emit({ type: "state", state }),
      closed: (code) => this.#onClose(code),
    });
    this.#acks = new AckSender((ms, callback) => environment.after(ms, callback), this.#transmit);
    this.#answers = new PendingAnswers({
      emit: (event) => this.#emit(event),
      textReceived: () => this.#connection.resetBackOff(),
      shown: (answer, to) => this.#acks.shown(answer, to),
      finished: (answer) => this.#acks.finished(answer),
    });
  }

  get state(): ConnectionState {
    return this.#connection.state;
  }

  /** Welcome frame of the current or the last connection. */
  get welcome(): WelcomeFrame | undefined {
    return this.#welcome;
  }

  /** Calls `listener` with every event. Returns a function that ends the subscription. */
  subscribe(listener: (event: ClientEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Connects now, even during a reconnect delay or after a refusal. Does nothing while connected. */
  connect(): void {
    this.#connection.connect();
  }

  /** Changes the endpoint or the token and reconnects. Unanswered messages are kept. */
  use(endpoint: Endpoint): void {
    this.#connection.use(endpoint);
  }

  /** Switches to a new token of the same user. An open connection is kept. */
  renew(endpoint: Endpoint & { readonly token: string }): void {
    if (this.state.phase !== "open") {
      this.use(endpoint);
      return;
    }
    this.#renewing = endpoint;
    this.#connection.endpoint = endpoint;
    this.#transmit({ type: "auth.refresh", token: endpoint.token });
  }

  /** Closes the socket and does not reconnect until `connect()` is called. */
  disconnect(): void {
    this.#connection.disconnect();
  }

  /** Sends a message now, or as soon as there is a connection. Returns the id of the message. */
  send(outgoing: OutgoingMessage): string {
    const id = outgoing.id ?? this.#environment.newId();
    this.#answers.add(id, outgoing.conversation, outgoing.text);
    if (this.#mayTransmit) this.#answers.transmit(id, this.#transmit, this.#welcome?.limits);
    return id;
  }

  /** Stops an answer and keeps its text so far. Without a connection the message is withdrawn at once. */
  cancel(id: string): void {
    this.#answers.cancel(id, this.state.phase === "open" ? this.#transmit : undefined);
  }

  /** Withdraws all unanswered messages. Used when the user switches to another identity. */
  withdrawAll(): void {
    this.#awaitedHistory = undefined;
    this.#answers.withdrawAll();
  }

  isPending(id: string): boolean {
    return this.#answers.has(id);
  }

  /**
   * Continues a conversation after a reload. The history of the server is requested first and emitted as an event.
   * Messages that are still unanswered after that event are resumed or sent again.
   */
  restore(conversation: string, messages: readonly RestoredMessage[]): void {
    this.#awaitedHistory = conversation;
    for (const { id, text, partial } of messages) this.#answers.add(id, conversation, text, partial);
  }

  /** Marks a message as answered because its answer was found in the history. Emits nothing. */
  markAnswered(id: string): void {
    this.#answers.remove(id);
  }

  /**
   * Watches running answers to messages that another page of this client sent. Reconnects, because answers can only be
   * resumed with the first frame of a socket.
   */
  watch(conversation: string, answers: HistoryReplyFrame["running"]): void {
    for (const { answer, id } of answers) {
      this.#answers.add(id, conversation, undefined, { answer, text: "" });
    }
    if (answers.length > 0) this.#connection.reopen();
  }

  get #mayTransmit(): boolean {
    return this.state.phase === "open" && !this.state.draining && this.#awaitedHistory === undefined;
  }

  readonly #transmit = (frame: object): void => this.#connection.send(frame);

  #transmitAll(): void {
    if (this.#mayTransmit) this.#answers.transmitAll(this.#transmit, this.#welcome?.limits);
  }

  #onClose(code: number | undefined): void {
    this.#resuming = false;
    this.#renewing = undefined;
    this.#acks.reset();
    if (code === 1009) this.#answers.failAll("too_long", "This message is too long.");
  }

  #receive(frame: ServerFrame): void {
    if (frame.type === "system") {
      if (frame.event === "welcome") this.#onWelcome(frame);
      else if (frame.event === "resumed") this.#openSession("resumed", frame.session);
      else if (frame.event === "auth_refreshed") this.#renewing = undefined;
      else if (frame.event === "history_cut") this.#answers.take(frame);
      else this.#emit({ type: "notice", frame });
    } else if (frame.type === "history") {
      this.#onHistory(frame);
    } else if (frame.type === "goaway") {
      this.#connection.drain(frame);
    } else if (frame.type === "error" && frame.id === undefined && frame.answer === undefined) {
      this.#onConnectionError(frame);
    } else {
      const { state } = this;
      // A message that a stopping server cuts short stays pending and is sent again to its successor.
      if (state.phase === "open" && state.draining && this.#answers.isCutShort(frame)) return;
      const resendId = this.#answers.take(frame);
      if (resendId !== undefined && this.#mayTransmit) {
        this.#answers.transmit(resendId, this.#transmit, this.#welcome?.limits);
      }
    }
  }

  #onWelcome(frame: WelcomeFrame): void {
    this.#welcome = frame;
    this.#emit({ type: "welcome", frame });
    const stored = this.#environment.session.load();
    if (stored === null) {
      this.#openSession("new", frame.session);
      return;
    }
    this.#resuming = true;
    const answers = this.#answers.resumable();
    this.#transmit({
      type: "resume",
      session: stored,
      ...(answers.length > 0 && { reasoning: true, answers }),
    });
  }

  /** Starts using the session: requests the history, or sends all messages that were not resumed. */
  #openSession(outcome: "new" | "resumed" | "lost", session: string | null): void {
    if (outcome !== "resumed") this.#answers.clearResumed();
    this.#resuming = false;
    this.#environment.session.save(session);
    this.#connection.sessionOpened();
    this.#emit({ type: "session", outcome });
    if (this.#awaitedHistory === undefined) this.#transmitAll();
    else this.#transmit({ type: "history", conversation: this.#awaitedHistory });
  }

  #onHistory(frame: HistoryReplyFrame): void {
    if (frame.conversation !== this.#awaitedHistory) return;
    this.#awaitedHistory = undefined;
    this.#emit({ type: "history", frame });
    this.#transmitAll();
  }

  /** Handles an error frame that belongs to no message. */
  #onConnectionError(frame: ErrorFrame): void {
    if (this.#resuming) {
      // Only `resume` was sent so far, so the error is the reply to it.
      this.#openSession("lost", this.#welcome?.session ?? null);
    } else if (this.#renewing !== undefined && frame.code === "token_refused") {
      // The close code of a new connection gives the reason.
      this.use(this.#renewing);
    } else if (this.#awaitedHistory !== undefined && this.state.phase === "open") {
      // The server refused the history request. Unanswered messages are sent without it.
      this.#awaitedHistory = undefined;
      this.#transmitAll();
    } else {
      this.#answers.take(frame);
    }
  }

  #emit(event: ClientEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }
}
