import type {
  CommandResponseFrame,
  ErrorFrame,
  FallbackFrame,
  HistoryReplyFrame,
  MessageEndFrame,
  NoticeFrame,
  ProgressFrame,
  QueuedFrame,
  WelcomeFrame,
} from "../../src/protocol/server-frames.ts";

export type ConnectionState =
  /** Not connected, and not trying: before `connect()` and after `disconnect()`. */
  | { readonly phase: "idle" }
  | { readonly phase: "connecting" }
  /** Ready: the session is settled and messages go out. */
  | {
      readonly phase: "open";
      /** The server is about to stop: answers under way are finished, new messages wait for the next connection. */
      readonly leaving: boolean;
    }
  /** Cut; tries again at `retryAt` (milliseconds of the environment's `now`). */
  | {
      readonly phase: "waiting";
      readonly retryAt: number;
      readonly attempt: number;
      readonly code: number;
      readonly reason: string;
    }
  /** Refused: only a person can fix it. */
  | {
      readonly phase: "stopped";
      readonly code: number;
      readonly reason: string;
      readonly needs: "token" | "action";
    };

/** Why a message got no answer: the server's code, or a fault seen on this side. */
export type FailureCode = ErrorFrame["code"] | "too_long" | "connection";

export type ClientEvent =
  | { readonly type: "state"; readonly state: ConnectionState }
  | { readonly type: "welcome"; readonly frame: WelcomeFrame }
  /** `resumed`: context and conversations are back. `lost`: the server no longer knows the earlier session. */
  | { readonly type: "session"; readonly outcome: "new" | "resumed" | "lost" }
  /** New text of an answer; `restart` means that what was shown before is void. */
  | {
      readonly type: "text";
      readonly id: string;
      readonly answer: string;
      readonly fresh: string;
      readonly restart: boolean;
    }
  | { readonly type: "queued"; readonly id: string; readonly frame: QueuedFrame }
  | { readonly type: "progress"; readonly id: string; readonly frame: ProgressFrame }
  | { readonly type: "fallback"; readonly id: string; readonly frame: FallbackFrame }
  /** The answer is whole. */
  | { readonly type: "answer"; readonly id: string; readonly frame: MessageEndFrame }
  /** The command is done, well or badly. */
  | { readonly type: "result"; readonly id: string; readonly frame: CommandResponseFrame }
  /** Cancelled on this side before the server could say anything. */
  | { readonly type: "withdrawn"; readonly id: string }
  | {
      readonly type: "failed";
      readonly id: string;
      readonly code: FailureCode;
      readonly message: string;
      readonly retryable: boolean;
      readonly retryAfterMs?: number;
    }
  /** What the server knows of a conversation; comes once after `restore()`, before anything is sent again. */
  | { readonly type: "history"; readonly frame: HistoryReplyFrame }
  /** Something the server says that belongs to no message. */
  | { readonly type: "notice"; readonly frame: NoticeFrame | ErrorFrame };

export interface SocketHandlers {
  message(text: string): void;
  /** Called once. 1006 when the socket never opened or was cut. */
  close(code: number, reason: string): void;
}

/** As much of a WebSocket as the client needs. */
export interface ClientSocket {
  send(text: string): void;
  /** Handlers are not called any more after this. */
  close(): void;
}

/** What the client needs from its surroundings; tests hand in fakes. */
export interface ClientEnvironment {
  openSocket(url: string, protocols: readonly string[], handlers: SocketHandlers): ClientSocket;
  /** Milliseconds; never goes back. */
  now(): number;
  /** Runs `callback` once after `ms`; the returned function cancels it. */
  after(ms: number, callback: () => void): () => void;
  /** In [0, 1). */
  random(): number;
  newId(): string;
  /** Where the session's secret is kept between connections. */
  readonly session: { load(): string | null; save(secret: string | null): void };
}
