import type { GoawayFrame, ServerFrame } from "../../src/protocol/server-frames.ts";
import type { ClientEnvironment, ClientSocket, ConnectionState } from "./client-events.ts";
import { adviseAfterClose, reconnectDelay } from "./close-rules.ts";

/** Where to connect. The token is sent as a subprotocol, because URLs are often logged. */
export interface Endpoint {
  readonly url: string;
  readonly token?: string;
}

export interface ConnectionListener {
  frame(frame: ServerFrame): void;
  state(state: ConnectionState): void;
  /** The socket has closed. `code` is undefined if this side closed it. */
  closed(code: number | undefined): void;
}

/** Milliseconds from opening a socket to an open session, before the socket is dropped. */
const HANDSHAKE_MS = 15_000;
/** Milliseconds without a frame before a `ping` is sent. */
const PING_AFTER_MS = 25_000;
/** Milliseconds to wait for a frame after a `ping`, before the socket is dropped. */
const PONG_MS = 10_000;
/** Milliseconds after which an open session resets the back-off. */
const STABLE_MS = 5_000;

/** Keeps one socket open to an endpoint: detects a dead socket, and reconnects according to the close code. */
export class Connection {
  readonly #environment: ClientEnvironment;
  readonly #listener: ConnectionListener;
  #endpoint: Endpoint;
  #socket: ClientSocket | undefined;
  #state: ConnectionState = { phase: "idle" };
  #attempt = 0;
  /** Stops the timer of the current phase: handshake, ping, or next attempt. */
  #stopTimer: () => void = () => {};
  #stopStableTimer: () => void = () => {};
  #stopMoveTimer: () => void = () => {};

  constructor(endpoint: Endpoint, environment: ClientEnvironment, listener: ConnectionListener) {
    this.#endpoint = endpoint;
    this.#environment = environment;
    this.#listener = listener;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** Connects now, even during a reconnect delay or after a refusal. Does nothing while connected. */
  connect(): void {
    if (this.#socket !== undefined) return;
    this.#stopTimer();
    this.#open();
  }

  /** Sets the endpoint of the next socket. */
  set endpoint(endpoint: Endpoint) {
    this.#endpoint = endpoint;
  }

  /** Changes the endpoint or the token and reconnects. */
  use(endpoint: Endpoint): void {
    this.disconnect();
    this.#endpoint = endpoint;
    this.#attempt = 0;
    this.#open();
  }

  /** Closes the socket and does not reconnect until `connect()` is called. */
  disconnect(): void {
    this.#dropSocket();
    this.#setState({ phase: "idle" });
  }

  /** Replaces the socket by a new one at once. Does nothing if there is no socket. */
  reopen(): void {
    if (this.#socket === undefined) return;
    this.#dropSocket();
    this.#open();
  }

  send(frame: object): void {
    this.#socket?.send(JSON.stringify(frame));
  }

  /** Enters the phase `open`, because the session is ready for messages. */
  sessionOpened(): void {
    this.#setState({ phase: "open", draining: false });
    this.#stopStableTimer = this.#environment.after(STABLE_MS, () => this.resetBackOff());
    this.#restartPingTimer();
  }

  /** Makes the next reconnect delay short again. Called on new text: even a short-lived connection made progress. */
  resetBackOff(): void {
    this.#attempt = 0;
  }

  /**
   * Handles the announcement that the server stops. Running answers finish on this socket. If another server can resume
   * them, the connection moves there before the deadline.
   */
  drain({ resumable, deadline_ms: deadline }: GoawayFrame): void {
    if (this.#state.phase !== "open" || this.#state.draining) return;
    this.#setState({ phase: "open", draining: true });
    if (!resumable) return;
    // A random time keeps the clients from moving all at once.
    this.#stopMoveTimer = this.#environment.after((this.#environment.random() * deadline) / 2, () =>
      this.reopen(),
    );
  }

  #open(): void {
    this.#setState({ phase: "connecting" });
    const { url, token } = this.#endpoint;
    const protocols = token === undefined ? ["chat.v1"] : ["chat.v1", `bearer.${token}`];
    this.#stopTimer = this.#environment.after(HANDSHAKE_MS, () => this.#abort());
    this.#socket = this.#environment.openSocket(url, protocols, {
      message: (text) => this.#receive(text),
      close: (code, reason) => this.#onClose(code, reason),
    });
  }

  /** Drops a dead socket and handles it like a lost connection. */
  #abort(): void {
    this.#dropSocket();
    this.#onClose(1006, "");
  }

  #dropSocket(): void {
    this.#stopTimers();
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
    this.#listener.closed(undefined);
  }

  #stopTimers(): void {
    this.#stopTimer();
    this.#stopStableTimer();
    this.#stopMoveTimer();
  }

  #onClose(code: number, reason: string): void {
    this.#stopTimers();
    this.#socket = undefined;
    this.#listener.closed(code);
    const advice = adviseAfterClose(code, reason);
    if (advice.kind === "stop") {
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
      // The peer is not a chat server.
      this.#abort();
      return;
    }
    if (this.#state.phase === "open") this.#restartPingTimer();
    this.#listener.frame(frame);
  }

  /** Sends a `ping` after a time without frames, and drops the socket if no frame follows. */
  #restartPingTimer(): void {
    this.#stopTimer();
    this.#stopTimer = this.#environment.after(PING_AFTER_MS, () => {
      this.send({ type: "ping" });
      this.#stopTimer = this.#environment.after(PONG_MS, () => this.#abort());
    });
  }

  #setState(state: ConnectionState): void {
    this.#state = state;
    this.#listener.state(state);
  }
}
