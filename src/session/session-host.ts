import type { ChatService } from "../chat/chat-service.ts";
import type { SessionStore } from "../chat/session-store.ts";
import type { TokenVerifier } from "../auth/token-verifier.ts";
import type { BucketTable } from "../core/bucket-table.ts";
import type { Clock } from "../core/clock.ts";
import type { Logger } from "../core/logger.ts";
import type { Metrics } from "../core/metrics.ts";
import type { FrameDecoder } from "../protocol/codec.ts";
import type { WireLimits } from "../protocol/server-frames.ts";
import type { BufferAccount } from "./delivery/buffer-account.ts";
import type { ClientSockets } from "./client-sockets.ts";
import type { ExpiryWheel } from "./expiry-wheel.ts";
import type { RateLimits } from "./limits/rate-limits.ts";
import type { FlushScheduler } from "./delivery/flush-scheduler.ts";

/** What the welcome says of the back end. */
export interface Welcome {
  readonly message: string;
  readonly provider: string | null;
  readonly model: string | null;
  readonly textMayLeave: boolean;
}

/** What all sessions share. */
export interface SessionHost {
  readonly chat: ChatService;
  readonly sessions: SessionStore;
  readonly decode: FrameDecoder;
  readonly limits: WireLimits;
  readonly maxBadFrames: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly expiry: ExpiryWheel;
  readonly clients: ClientSockets;
  readonly buffers: BufferAccount;
  /** Null with RATE_LIMITS=off. */
  readonly rates: RateLimits | null;
  readonly tokenVerifier: TokenVerifier;
  readonly flushes: FlushScheduler;
  /** Bytes of an answer that may be on their way to a client that sends `ack`. */
  readonly maxUnackedBytes: number;
  /** Budget of old text by principal, in bytes; null: no limit. */
  readonly replays: BucketTable | null;
  /** Most bytes of the turns in one `history` frame. */
  readonly maxHistoryBytes: number;
  welcome(): Welcome;
}
