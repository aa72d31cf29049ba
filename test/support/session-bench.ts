import { createTokenSigner } from "../../src/auth/token-signer.ts";
import { createTokenVerifier } from "../../src/auth/token-verifier.ts";
import type { SessionRecord } from "../../src/chat/session-store.ts";
import { createFrameDecoder } from "../../src/protocol/codec.ts";
import { BufferAccount } from "../../src/session/delivery/buffer-account.ts";
import { ClientSockets } from "../../src/session/client-sockets.ts";
import { BucketTable } from "../../src/core/bucket-table.ts";
import { systemEventLoop } from "../../src/core/event-loop.ts";
import { CONTEXT_DROPPED } from "../../src/session/frame-handlers.ts";
import { FlushScheduler } from "../../src/session/delivery/flush-scheduler.ts";
import { ExpiryWheel } from "../../src/session/expiry-wheel.ts";
import { FrameTurns, MIN_LARGE_BYTES } from "../../src/session/limits/frame-turns.ts";
import { RateLimits, type RateLimitOptions } from "../../src/session/limits/rate-limits.ts";
import type { Session } from "../../src/session/session.ts";
import { SessionRegistry, type ConnectionIdentity } from "../../src/session/session-registry.ts";
import { MemorySessionStore } from "../../src/stores/memory/memory-session-store.ts";
import { silentLogger } from "../../src/core/logger.ts";
import { chatBench, type ChatBenchOptions } from "./chat-bench.ts";
import { FakeEventLoop } from "./fake-event-loop.ts";
import { FakeSocket, type Frame } from "./fake-socket.ts";
import { settle } from "./virtual-clock.ts";

// Shared, because compiling the validators takes longer than most tests.
const decode = createFrameDecoder({ maxMessageChars: 32_000, maxOutputTokens: 512 });

const TOKEN_SECRET = "a secret of forty characters, just for us";

const unlimited = {
  framesPerSecond: 1_000_000,
  acksPerSecond: 1_000_000,
  messagesPerMinute: 1_000_000,
  messagesPerMinutePerAddress: 1_000_000,
};

/** Settings of {@link sessionBench}. */
export interface SessionBenchOptions extends ChatBenchOptions {
  readonly maxBadFrames?: number;
  readonly maxSocketsPerClient?: number;
  readonly replaceOldest?: boolean;
  /** Absent: no rate limits, as with RATE_LIMITS=off. */
  readonly rates?: Partial<Omit<RateLimitOptions, "clock">>;
  readonly maxUnackedBytes?: number;
  /** Absent: no limit of replays. */
  readonly replayBytesPerSecond?: number;
  readonly maxHistoryBytes?: number;
}

/** One connected client on a {@link FakeSocket}. */
export class TestClient {
  readonly socket = new FakeSocket();
  readonly #session: Session;

  constructor(registry: SessionRegistry, identity: ConnectionIdentity) {
    let open: Session | null = null;
    this.socket.onEnd = () => {
      if (open !== null) registry.closed(open);
    };
    open = registry.open(this.socket, identity);
    this.#session = open;
  }

  get session(): Session {
    return this.#session;
  }

  /** The secret of the session, from the welcome. */
  get secret(): string {
    return String(this.socket.frames[0]?.["session"]);
  }

  /** Sends a frame and waits until all work that needs no time is done. */
  async send(frame: unknown): Promise<void> {
    this.sendNow(frame);
    await settle();
  }

  /** Sends a frame without waiting. */
  sendNow(frame: unknown): void {
    const text = typeof frame === "string" ? frame : JSON.stringify(frame);
    const bytes = Buffer.from(text);
    if (bytes.length < MIN_LARGE_BYTES) this.#session.onText(text);
    else this.#session.onLargeText(bytes);
  }

  /** Releases the unsent bytes and reports the drain to the session. */
  drain(): void {
    this.socket.release();
    this.#session.onDrain();
  }

  /** Returns the frames since the last call. */
  take(): Frame[] {
    return this.socket.takeFrames();
  }
}

/** The sessions of a service on fake sockets and virtual time. */
export function sessionBench(options: SessionBenchOptions = {}) {
  const bench = chatBench({
    ...options,
    isConnected: (client) => clients.has(client),
    contextDropped: (client) => clients.notify(client, "context_dropped", CONTEXT_DROPPED),
  });
  const { clock, metrics, chat, store } = bench;
  const clients: ClientSockets = new ClientSockets({
    maxPerClient: options.maxSocketsPerClient ?? 100,
    replaceOldest: options.replaceOldest ?? false,
    metrics,
    connectedChanged: (client, connected) => store.setConnected(client, connected),
  });
  const loop = new FakeEventLoop();
  const ended: SessionRecord[] = [];
  const sessions = new MemorySessionStore({
    maxSessions: 1000,
    reservedShare: 0,
    retentionMs: 60_000,
    clock,
    ended: (record) => {
      ended.push(record);
      void (record.authenticated
        ? store.clear(record.client, record.ownConversation)
        : store.forgetClient(record.client));
    },
  });
  const buffers = new BufferAccount(1_000_000, clock);
  const registry = new SessionRegistry({
    chat,
    sessions,
    decode,
    turns: new FrameTurns({
      loop: systemEventLoop(),
      watch: { begin() {}, end() {} },
      metrics,
      maxPerSocket: Infinity,
      maxBytes: 8_388_608,
    }),
    limits: {
      max_frame_bytes: 65_536,
      max_message_chars: 32_000,
      max_output_tokens: 512,
      max_pending_messages: 3,
      max_active_answers: 2,
      max_conversations: 100,
    },
    maxBadFrames: options.maxBadFrames ?? 5,
    clock,
    logger: silentLogger,
    metrics,
    expiry: new ExpiryWheel(clock),
    clients,
    buffers,
    rates: options.rates === undefined ? null : new RateLimits({ ...unlimited, ...options.rates, clock }),
    tokenVerifier: createTokenVerifier({ secret: TOKEN_SECRET, maxWeight: 10, clock }),
    flushes: new FlushScheduler(clock, loop),
    maxUnackedBytes: options.maxUnackedBytes ?? 65_536,
    replays:
      options.replayBytesPerSecond === undefined
        ? null
        : new BucketTable(
            { perSecond: options.replayBytesPerSecond, burst: options.replayBytesPerSecond },
            1000,
            clock,
          ),
    maxHistoryBytes: options.maxHistoryBytes ?? 262_144,
    welcome: () => ({ message: "Welcome.", provider: "local", model: "scripted", textMayLeave: false }),
  });
  const connect = (identity: Partial<ConnectionIdentity> = {}): TestClient =>
    new TestClient(registry, { address: "addr", token: null, streaming: false, ...identity });
  /** Connects as a subject whose token expires in `seconds`. */
  const connectAs = (subject: string, seconds = 3600, streaming = false): TestClient =>
    connect({
      token: { subject, expiresAt: Math.floor(clock.wall() / 1000) + seconds, weight: 1 },
      streaming,
    });
  /** Signs a token for `auth.refresh`; with negative `seconds` it has expired. */
  const tokenOf = createTokenSigner({ secret: TOKEN_SECRET, clock });
  return { ...bench, loop, buffers, sessions, registry, ended, connect, connectAs, tokenOf };
}

export type SessionBench = ReturnType<typeof sessionBench>;
