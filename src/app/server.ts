import { createAddressResolver } from "../auth/client-address.ts";
import { createHostPolicy, type HostPolicy } from "../auth/host-policy.ts";
import { createOriginPolicy } from "../auth/origin-policy.ts";
import { createTokenVerifier, type TokenVerifier } from "../auth/token-verifier.ts";
import { ChatService } from "../chat/chat-service.ts";
import type { Config } from "../config/schema.ts";
import { systemClock as clock } from "../core/clock.ts";
import { systemEventLoop } from "../core/event-loop.ts";
import type { Logger } from "../core/logger.ts";
import type { LoopWatch } from "../core/loop-watch.ts";
import { watchEventLoop } from "../observability/event-loop-watch.ts";
import type { PrometheusMetrics } from "../observability/prometheus-metrics.ts";
import { createFrameDecoder } from "../protocol/codec.ts";
import { descriptorLimit, descriptorWarning } from "./descriptor-limit.ts";
import { announceHealth } from "./health-notices.ts";
import { readiness } from "./readiness.ts";
import { welcomeFor } from "./welcome.ts";
import type { ProviderChain } from "../providers/chain/provider-chain.ts";
import type { Selection } from "../providers/select-provider.ts";
import { BufferAccount } from "../session/delivery/buffer-account.ts";
import { ClientSockets } from "../session/client-sockets.ts";
import { CONTEXT_DROPPED } from "../session/frame-handlers.ts";
import { ExpiryWheel } from "../session/expiry-wheel.ts";
import { drain } from "./drain.ts";
import { createLimits, type ServiceLimits } from "./create-limits.ts";
import { createStores, type Stores } from "./create-stores.ts";
import type { SessionHost } from "../session/session-host.ts";
import { FlushScheduler } from "../session/delivery/flush-scheduler.ts";
import { SessionRegistry } from "../session/session-registry.ts";
import type { SocketLibrary } from "../transport/uws/socket-library.ts";
import { createStatusRoutes } from "../transport/uws/status-routes.ts";
import { loadStaticFiles } from "../transport/uws/static-files.ts";
import { createUwsTransport, softLimitBytes, type UwsTransport } from "../transport/uws/uws-transport.ts";

const MIB = 1_048_576;

export interface Server {
  readonly port: number;
  /** Whether a key for verifying tokens on /ws/chat/auth is configured. */
  readonly authenticates: boolean;
  /** Warnings for the operator that were found during setup, one line each. */
  readonly warnings: readonly string[];
  /** Stops accepting work, lets running answers finish for up to DRAIN_SECONDS, then closes every socket with 1012. */
  drain(): Promise<void>;
}

export interface ServerOptions {
  readonly config: Config;
  /** Content of JWT_PUBLIC_KEY or JWT_PUBLIC_KEY_FILE. */
  readonly publicKeyPem: string | undefined;
  readonly selection: Selection;
  /** The selected providers as one chain; null if none could be started. */
  readonly chain: ProviderChain | null;
  readonly logger: Logger;
  readonly metrics: PrometheusMetrics;
  readonly socketLibrary: SocketLibrary;
  /** Folder of the built web client. */
  readonly webFolder: string;
}

/** Wires all layers together and starts listening. @throws Error if the port is in use or a key is unusable */
export async function startServer(options: ServerOptions): Promise<Server> {
  const { config } = options;
  const tokenVerifier = createTokenVerifier({
    secret: config.JWT_SECRET,
    publicKeyPem: options.publicKeyPem,
    issuer: config.JWT_ISSUER,
    audience: config.JWT_AUDIENCE,
    maxWeight: config.MAX_CLIENT_WEIGHT,
    clock,
  });
  const clients: ClientSockets = new ClientSockets({
    maxPerClient: config.MAX_CONNECTIONS_PER_CLIENT,
    replaceOldest: config.ON_CLIENT_LIMIT === "replace",
    metrics: options.metrics,
    connectedChanged: (client, connected) => stores.conversations.setConnected(client, connected),
  });
  const stores = createStores(options, {
    isConnected: (client) => clients.has(client),
    contextDropped: (client) => clients.notify(client, "context_dropped", CONTEXT_DROPPED),
    bothClasses: config.ALLOW_ANONYMOUS && tokenVerifier.configured,
  });
  const chat = createChat(options, stores);
  const hostPolicy = createHostPolicy({ listenHost: config.HOST, allowedHosts: config.ALLOWED_HOSTS });
  const descriptors = descriptorLimit();
  const { logger, metrics } = options;
  const watch = watchEventLoop(clock, logger, metrics);
  const limits = createLimits(config, descriptors, { clock, watch, logger, metrics });
  const buffers = new BufferAccount(config.MAX_BUFFERED_MB * MIB, clock, config.RATE_LIMITS ? undefined : 1);
  options.metrics.gauge(
    "buffered_bytes",
    "Bytes buffered for slow readers, over all sockets",
    () => buffers.bytes,
  );
  const sessions = createSessions(options, chat, stores, {
    buffers,
    clients,
    tokenVerifier,
    rates: limits.rates,
    replays: limits.replays,
    turns: limits.turns,
  });
  let draining = false;
  const transport = createTransport(options, {
    sessions,
    hostPolicy,
    tokenVerifier,
    buffers,
    limits,
    watch,
    draining: () => draining,
  });
  const port = await transport.listen();
  const notices = (options.chain?.members ?? []).map((member) =>
    announceHealth(member, (event, message) => sessions.notify(event, message)),
  );
  return {
    port,
    authenticates: tokenVerifier.configured,
    warnings: [hostPolicy.startWarning, descriptorWarning(config, descriptors)].filter(
      (warning) => warning !== undefined,
    ),
    async drain() {
      draining = true;
      for (const stop of notices) stop();
      await drain({ transport, chat, sessions, clock, deadlineMs: config.DRAIN_SECONDS * 1000 });
    },
  };
}

function createChat(options: ServerOptions, stores: Stores): ChatService {
  const { config, chain, logger, metrics } = options;
  return new ChatService({
    settings: {
      systemPrompt: config.SYSTEM_PROMPT,
      maxOutputTokens: config.MAX_OUTPUT_TOKENS,
      maxPendingMessages: config.MAX_PENDING_MESSAGES,
      maxActiveAnswersPerClient: config.MAX_ACTIVE_ANSWERS_PER_CLIENT,
      abandonMs: config.ABANDON_SECONDS * 1000,
      answerRetentionMs: config.ANSWER_RETENTION_SECONDS * 1000,
    },
    provider: chain,
    log: stores.log,
    store: stores.conversations,
    clock,
    logger,
    metrics,
  });
}

function createSessions(
  options: ServerOptions,
  chat: ChatService,
  stores: Stores,
  shared: Pick<SessionHost, "buffers" | "clients" | "tokenVerifier" | "rates" | "replays" | "turns">,
): SessionRegistry {
  const { config, selection, logger, metrics } = options;
  const flushes = new FlushScheduler(clock, systemEventLoop());
  metrics.gauge(
    "flush_window_seconds",
    "Time between two flushes of answer text; 0: every turn of the event loop",
    () => flushes.windowMs / 1000,
  );
  return new SessionRegistry({
    chat,
    sessions: stores.sessions,
    decode: createFrameDecoder({
      maxMessageChars: config.MAX_MESSAGE_CHARS,
      maxOutputTokens: config.MAX_OUTPUT_TOKENS,
    }),
    limits: {
      max_frame_bytes: config.MAX_FRAME_BYTES,
      max_message_chars: config.MAX_MESSAGE_CHARS,
      max_output_tokens: config.MAX_OUTPUT_TOKENS,
      max_pending_messages: config.MAX_PENDING_MESSAGES,
      max_active_answers: config.MAX_ACTIVE_ANSWERS_PER_CLIENT,
      max_conversations: config.MAX_CONVERSATIONS_PER_CLIENT,
    },
    maxBadFrames: config.MAX_BAD_FRAMES,
    expiry: new ExpiryWheel(clock),
    ...shared,
    flushes,
    maxUnackedBytes: config.MAX_UNACKED_BYTES,
    maxHistoryBytes: softLimitBytes(config.MAX_ANSWER_BYTES),
    clock,
    logger,
    metrics,
    welcome: () => welcomeFor(selection),
  });
}

interface TransportParts {
  readonly sessions: SessionRegistry;
  readonly hostPolicy: HostPolicy;
  readonly tokenVerifier: TokenVerifier;
  readonly limits: ServiceLimits;
  readonly buffers: BufferAccount;
  readonly watch: LoopWatch;
  draining(): boolean;
}

function createTransport(options: ServerOptions, parts: TransportParts): UwsTransport {
  const { config, selection, chain, logger, metrics } = options;
  const statusRoutes = createStatusRoutes({
    readiness: () => readiness(selection, chain, parts.draining()),
    renderMetrics: () => metrics.render(),
    metricsContentType: metrics.contentType,
    metricsToken: config.METRICS_TOKEN,
  });
  return createUwsTransport({
    library: options.socketLibrary,
    host: config.HOST,
    port: config.PORT,
    maxFrameBytes: config.MAX_FRAME_BYTES,
    maxAnswerBytes: config.MAX_ANSWER_BYTES,
    maxConnections: config.MAX_CONNECTIONS,
    connections: parts.limits.connections,
    idleTimeoutSeconds: config.IDLE_TIMEOUT_SECONDS,
    upgradePolicy: {
      allowAnonymous: config.ALLOW_ANONYMOUS,
      originPolicy: createOriginPolicy({ allowedOrigins: config.CORS_ORIGINS }),
      hostPolicy: parts.hostPolicy,
      resolveAddress: createAddressResolver(config.TRUSTED_PROXIES),
      tokenVerifier: parts.tokenVerifier,
      addresses: parts.limits.addresses,
    },
    routes: new Map([...loadStaticFiles(options.webFolder), ...statusRoutes]),
    sessions: parts.sessions,
    buffers: parts.buffers,
    clock,
    watch: parts.watch,
    logger,
    metrics,
  });
}
