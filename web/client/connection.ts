import type { GoawayFrame, ServerFrame } from "../../src/protocol/server-frames.ts";
import type { ClientEnvironment, ClientSocket, ConnectionState } from "./client-events.ts";
import { adviseAfterClose, reconnectDelay } from "./close-rules.ts";

/** Where to connect; a token travels in the list of subprotocols, since a URL ends up in logs. */
export interface Endpoint {
  readonly url: string;
  readonly token?: string;
}

export interface ConnectionListener {
  frame(frame: ServerFrame): void;
  state(state: ConnectionState): void;
  /** The socket is gone; `code` is undefined when this side dropped it. */
  gone(code: number | undefined): void;
}

const HANDSHAKE_MS = 15_000;
const QUIET_MS = 25_000;
const PONG_MS = 10_000;
/** A connection that held this long counts as good: after the next cut the delays start short again. */
const STABLE_MS = 5_000;

/** One socket after the other to the same endpoint: opens, watches, and comes back as the close codes say. */
export class Connection {
  readonly #environment: ClientEnvironment;
  readonly #listener: ConnectionListener;
  #endpoint: Endpoint;
  #socket: ClientSocket | undefined;
  #state: ConnectionState = { phase: "idle" };
  #attempt = 0;
  /** The one timer of the present phase: handshake, silence, or the next attempt. */
  #stopTimer: () => void = () => {};
  #stopStableTimer: () => void = () => {};
  #stopMove: () => void = () => {};

  constructor(endpoint: Endpoint, environment: ClientEnvironment, listener: ConnectionListener) {
    this.#endpoint = endpoint;
    this.#environment = environment;
    this.#listener = listener;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** Connects now, also while a delay runs or after a refusal; nothing happens while connected. */
  connect(): void {
    if (this.#socket !== undefined) return;
    this.#stopTimer();
    this.#open();
  }

  /** Where the next connection goes. */
  set endpoint(endpoint: Endpoint) {
    this.#endpoint = endpoint;
  }

  /** Changes the endpoint or the token and connects anew. */
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

  /** Connects anew at once, where there is a socket. */
  reopen(): void {
    if (this.#socket === undefined) return;
    this.#dropSocket();
    this.#open();
  }

  send(frame: object): void {
    this.#socket?.send(JSON.stringify(frame));
  }

  /** The session stands: from here on messages go out. */
  settled(): void {
    this.#setState({ phase: "open", leaving: false });
    this.#stopStableTimer = this.#environment.after(STABLE_MS, () => {
      this.#attempt = 0;
    });
    this.#watchSilence();
  }

  /** New text has come: however short this connection lives, coming back is worth it, and the delays start short again. */
  progressed(): void {
    this.#attempt = 0;
  }

  /** The server stops: what runs is awaited here; with another one that knows our answers we move before the end. */
  leave({ resumable, deadline_ms: deadline }: GoawayFrame): void {
    if (this.#state.phase !== "open" || this.#state.leaving) return;
    this.#setState({ phase: "open", leaving: true });
    if (!resumable) return;
    // All clients move: each at its own time.
    this.#stopMove = this.#environment.after((this.#environment.random() * deadline) / 2, () =>
      this.reopen(),
    );
  }

  #open(): void {
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
    this.#stopTimers();
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
    this.#listener.gone(undefined);
  }

  #stopTimers(): void {
    this.#stopTimer();
    this.#stopStableTimer();
    this.#stopMove();
  }

  #closed(code: number, reason: string): void {
    this.#stopTimers();
    this.#socket = undefined;
    this.#listener.gone(code);
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
    this.#listener.frame(frame);
  }

  /** A socket that stays quiet is asked for a sign of life, and given up without one. */
  #watchSilence(): void {
    this.#stopTimer();
    this.#stopTimer = this.#environment.after(QUIET_MS, () => {
      this.send({ type: "ping" });
      this.#stopTimer = this.#environment.after(PONG_MS, () => this.#cut());
    });
  }

  #setState(state: ConnectionState): void {
    this.#state = state;
    this.#listener.state(state);
  }
}
