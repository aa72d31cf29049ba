import type {
  CommandResponseFrame,
  ErrorFrame,
  FallbackFrame,
  HistoryCutFrame,
  HistoryReplyFrame,
  MessageEndFrame,
  NoticeFrame,
  ProgressFrame,
  QueuedFrame,
  WelcomeFrame,
} from "../../src/protocol/server-frames.ts";

export type ConnectionState =
  /** Not connected and not trying to connect: before `connect()` and after `disconnect()`. */
  | { readonly phase: "idle" }
  | { readonly phase: "connecting" }
  /** Connected, with an open session. Messages can be sent. */
  | {
      readonly phase: "open";
      /** The server is about to stop. Running answers finish; new messages wait for the next connection. */
      readonly draining: boolean;
    }
  /** Disconnected. The next attempt is at `retryAt`, in milliseconds of {@link ClientEnvironment.now}. */
  | {
      readonly phase: "waiting";
      readonly retryAt: number;
      readonly attempt: number;
      readonly code: number;
      readonly reason: string;
    }
  /** Disconnected. The user has to act before the next attempt. */
  | {
      readonly phase: "stopped";
      readonly code: number;
      readonly reason: string;
      readonly needs: "token" | "action";
    };

/** Why a message has no answer: an error code of the server, `too_long`, or `connection`. */
export type FailureCode = ErrorFrame["code"] | "too_long" | "connection";

export type ClientEvent =
  | { readonly type: "state"; readonly state: ConnectionState }
  | { readonly type: "welcome"; readonly frame: WelcomeFrame }
  /** `resumed`: context and conversations are available again. `lost`: the earlier session no longer exists. */
  | { readonly type: "session"; readonly outcome: "new" | "resumed" | "lost" }
  /**
   * New text of an answer, or of the reasoning before it. `restart`: text and reasoning shown so far are void and must be
   * replaced.
   */
  | {
      readonly type: "text" | "reasoning";
      readonly id: string;
      readonly answer: string;
      readonly delta: string;
      readonly restart: boolean;
    }
  | { readonly type: "queued"; readonly id: string; readonly frame: QueuedFrame }
  | { readonly type: "progress"; readonly id: string; readonly frame: ProgressFrame }
  | { readonly type: "fallback"; readonly id: string; readonly frame: FallbackFrame }
  | { readonly type: "history_cut"; readonly id: string; readonly frame: HistoryCutFrame }
  /** The answer is complete. */
  | { readonly type: "answer"; readonly id: string; readonly frame: MessageEndFrame }
  /** The command has succeeded or failed. */
  | { readonly type: "result"; readonly id: string; readonly frame: CommandResponseFrame }
  /** The message was dropped by this client and gets no answer. */
  | { readonly type: "withdrawn"; readonly id: string }
  | {
      readonly type: "failed";
      readonly id: string;
      readonly code: FailureCode;
      readonly message: string;
      readonly retryable: boolean;
      readonly retryAfterMs?: number;
    }
  /** History of a conversation. Emitted once after `restore()`, before any message is sent again. */
  | { readonly type: "history"; readonly frame: HistoryReplyFrame }
  /** A notice or an error that belongs to no message. */
  | { readonly type: "notice"; readonly frame: NoticeFrame | ErrorFrame };

export interface SocketHandlers {
  message(text: string): void;
  /** Called once. The code is 1006 if the socket never opened or the connection was lost. */
  close(code: number, reason: string): void;
}

/** The part of a WebSocket that the client uses. */
export interface ClientSocket {
  send(text: string): void;
  /** Closes the socket. No handler is called after this. */
  close(): void;
}

/** Dependencies of the client on its host. Tests pass fakes. */
export interface ClientEnvironment {
  openSocket(url: string, protocols: readonly string[], handlers: SocketHandlers): ClientSocket;
  /** Monotonic time in milliseconds. */
  now(): number;
  /** Calls `callback` once after `ms` milliseconds. Returns a function that cancels the call. */
  after(ms: number, callback: () => void): () => void;
  /** Returns a random number in [0, 1). */
  random(): number;
  newId(): string;
  /** Storage for the session secret between connections. */
  readonly session: { load(): string | null; save(secret: string | null): void };
}
