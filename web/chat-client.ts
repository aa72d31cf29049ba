import type { ServerFrame, WelcomeFrame } from "../src/protocol/server-frames.ts";
import type { ClientEnvironment, ClientEvent, ClientSocket, ConnectionState } from "./client-events.ts";
import { adviseAfterClose, reconnectDelay } from "./close-rules.ts";
import { PendingAnswers } from "./pending-answers.ts";

/** Where to connect; a token travels in the list of subprotocols, since a URL ends up in logs. */
export interface Endpoint {
  readonly url: string;
  readonly token?: string;
}

export interface OutgoingMessage {
  readonly text: string;
  readonly conversation: string;
  /** Given again after a reload, it joins the answer that already runs or is finished. */
  readonly id?: string;
}

const HANDSHAKE_MS = 15_000;
const QUIET_MS = 25_000;
const PONG_MS = 10_000;
/** A connection that held this long counts as good: after the next cut the delays start short again. */
const STABLE_MS = 5_000;

/** The shape of a JWT; anything else could not even be offered as a subprotocol. */
export const TOKEN_SHAPE = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/**
 * One chat connection that outlives its sockets. It reconnects as the close codes say, takes its session up again, sends
 * unanswered messages once more under their own ids, and delivers each answer's text exactly once.
 */
export class ChatClient {
  readonly #environment: ClientEnvironment;
  readonly #listeners = new Set<(event: ClientEvent) => void>();
  readonly #answers = new PendingAnswers((event) => this.#emit(event));
  #endpoint: Endpoint;
  #socket: ClientSocket | undefined;
  #state: ConnectionState = { phase: "idle" };
  #welcome: WelcomeFrame | undefined;
  #resuming = false;
  #attempt = 0;
  /** The one timer of the present phase: handshake, silence, or the next attempt. */
  #stopTimer: () => void = () => {};
  #stopStableTimer: () => void = () => {};

  constructor(endpoint: Endpoint, environment: ClientEnvironment) {
    this.#endpoint = endpoint;
    this.#environment = environment;
  }

  get state(): ConnectionState {
    return this.#state;
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
    if (this.#socket !== undefined) return;
    this.#stopTimer();
    this.#open();
  }

  /** Changes the endpoint or the token and connects anew; unanswered messages go along. */
  use(endpoint: Endpoint): void {
    this.disconnect();
    this.#endpoint = endpoint;
    this.#attempt = 0;
    this.#open();
  }

  /** Closes the socket and stays away until `connect()`. */
  disconnect(): void {
    this.#dropSocket();
    this.#setState({ phase: "idle" });
  }

  /** Sends now, or as soon as there is a connection. Returns the message's id. */
  send(outgoing: OutgoingMessage): string {
    const id = outgoing.id ?? this.#environment.newId();
    this.#answers.add(id, outgoing.conversation, outgoing.text);
    if (this.#state.phase === "open") this.#answers.transmit(id, this.#transmit, this.#welcome?.limits);
    return id;
  }

  /** Stops an answer; its text so far stays. Without a connection the message is withdrawn on the spot. */
  cancel(id: string): void {
    this.#answers.cancel(id, this.#state.phase === "open" ? this.#transmit : undefined);
  }

  /** Gives all unanswered messages up, because the identity they belong to is given up. */
  withdrawAll(): void {
    this.#answers.withdrawAll();
  }

  isPending(id: string): boolean {
    return this.#answers.has(id);
  }

  readonly #transmit = (frame: object): void => {
    this.#socket?.send(JSON.stringify(frame));
  };

  #open(): void {
    this.#resuming = false;
    this.#setState({ phase: "connecting" });
    const { url, token } = this.#endpoint;
    const protocols = token === undefined ? ["chat.v1"] : ["chat.v1", `bearer.${token}`];
    this.#stopTimer = this.#environment.after(HANDSHAKE_MS, () => this.#cut());
    this.#socket = this.#environment.openSocket(url, protocols, {
      message: (text) => this.#receive(text),
      close: (code, reason) => this.#closed(code, reason),
    });
  }

  /** Ends a socket that no longer answers, as if the network had. */
  #cut(): void {
    this.#dropSocket();
    this.#closed(1006, "");
  }

  #dropSocket(): void {
    this.#stopTimer();
    this.#stopStableTimer();
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
  }

  #closed(code: number, reason: string): void {
    this.#stopTimer();
    this.#stopStableTimer();
    this.#socket = undefined;
    if (code === 1009) this.#answers.failAll("too_long", "The message is too long for the server.");
    const advice = adviseAfterClose(code, reason);
    if (advice.then === "stop") {
      this.#setState({ phase: "stopped", code, reason, needs: advice.needs });
      return;
    }
    const delay = reconnectDelay(advice, this.#attempt, this.#environment.random());
    this.#attempt++;
    this.#stopTimer = this.#environment.after(delay, () => this.#open());
    const retryAt = this.#environment.now() + delay;
    this.#setState({ phase: "waiting", retryAt, attempt: this.#attempt, code, reason });
  }

  #receive(text: string): void {
    let frame: ServerFrame;
    try {
      frame = JSON.parse(text) as ServerFrame;
    } catch {
      // Whatever speaks here is not the chat server.
      this.#cut();
      return;
    }
    if (this.#state.phase === "open") this.#watchSilence();
    if (frame.type === "system") {
      if (frame.event === "welcome") this.#welcomed(frame);
      else if (frame.event === "resumed") this.#settle("resumed", frame.session);
      else if (frame.event !== "auth_refreshed") this.#emit({ type: "notice", frame });
    } else if (frame.type === "error" && this.#resuming && frame.answer === undefined) {
      // `resume` is all that was sent so far, so this is its refusal.
      this.#settle("lost", this.#welcome?.session ?? null);
    } else {
      this.#answers.take(frame);
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
    this.#transmit({ type: "resume", session: earlier });
  }

  /** The session stands: everything unanswered goes out (again). */
  #settle(outcome: "new" | "resumed" | "lost", session: string | null): void {
    this.#resuming = false;
    this.#environment.session.save(session);
    this.#setState({ phase: "open" });
    this.#emit({ type: "session", outcome });
    this.#stopStableTimer = this.#environment.after(STABLE_MS, () => {
      this.#attempt = 0;
    });
    this.#watchSilence();
    this.#answers.transmitAll(this.#transmit, this.#welcome?.limits);
  }

  /** A socket that stays quiet is asked for a sign of life, and given up without one. */
  #watchSilence(): void {
    this.#stopTimer();
    this.#stopTimer = this.#environment.after(QUIET_MS, () => {
      this.#transmit({ type: "ping" });
      this.#stopTimer = this.#environment.after(PONG_MS, () => this.#cut());
    });
  }

  #setState(state: ConnectionState): void {
    this.#state = state;
    this.#emit({ type: "state", state });
  }

  #emit(event: ClientEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }
}
