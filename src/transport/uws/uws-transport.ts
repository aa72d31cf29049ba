import type {
  HttpRequest,
  HttpResponse,
  us_listen_socket,
  us_socket_context_t,
  WebSocket,
} from "uWebSockets.js";
import type { Clock } from "../../core/clock.ts";
import type { Logger } from "../../core/logger.ts";
import type { LoopWatch } from "../../core/loop-watch.ts";
import type { Metrics } from "../../core/metrics.ts";
import type { BufferAccount } from "../../session/delivery/buffer-account.ts";
import { MIN_LARGE_BYTES } from "../../session/limits/frame-turns.ts";
import type { Session } from "../../session/session.ts";
import type { SessionRegistry } from "../../session/session-registry.ts";
import {
  createUpgradePolicy,
  type UpgradePolicyOptions,
  type UpgradeRequest,
  type UpgradeDecision,
} from "./upgrade-policy.ts";
import type { ConnectionLimits } from "./connection-limits.ts";
import { errorReply, retryAfter, type HttpRoute } from "./http-reply.ts";
import { HttpExchange, TurnQuota, type HttpHost } from "./http-exchange.ts";
import { createHttpRouter } from "./http-router.ts";
import { listenOn } from "./listen.ts";
import { peerFacts } from "./peer-facts.ts";
import type { SocketLibrary } from "./socket-library.ts";
import { UwsSocket, type SocketHost } from "./uws-socket.ts";
import { WireEncoder } from "./wire-encoder.ts";

/** Settings and collaborators of the transport. */
export interface UwsTransportOptions {
  readonly library: SocketLibrary;
  readonly host: string;
  /** 0 chooses any free port. */
  readonly port: number;
  readonly maxFrameBytes: number;
  readonly maxAnswerBytes: number;
  readonly connections: ConnectionLimits;
  /** 8 to 960; uWebSockets.js aborts the process for any other value. */
  readonly idleTimeoutSeconds: number;
  /** Maximum number of open sockets. */
  readonly maxConnections: number;
  readonly upgradePolicy: Omit<UpgradePolicyOptions, "full" | "subjectFull" | "draining" | "metrics">;
  readonly routes: ReadonlyMap<string, HttpRoute>;
  readonly sessions: SessionRegistry;
  readonly buffers: BufferAccount;
  readonly clock: Clock;
  readonly watch: LoopWatch;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** A listening port with its HTTP routes and WebSockets. */
export interface UwsTransport {
  /** Resolves with the port. @throws Error with one line if the port is in use */
  listen(): Promise<number>;
  /** Accepts no new connections; existing ones stay open. */
  stopListening(): void;
  /** Whether a socket was ended since {@link stopListening} while unsent bytes preceded its close frame. */
  readonly endedWithBytes: boolean;
  /** Ends all remaining connections without a close frame. */
  close(): void;
}

/** Frames over MAX_FRAME_BYTES are closed with 1009; over this multiple of it the library drops the connection. */
const PAYLOAD_HEADROOM = 4;

/**
 * Buffer bytes for each byte of the longest answer. The final `message` holds the whole answer, JSON can encode one
 * byte as six, and a close frame must still fit after it, or the library would drop the close frame.
 */
const BACK_PRESSURE_PER_ANSWER_BYTE = 8;

/** Minimum buffer, so that the largest `token` frame is within the soft limit even if answers are short. */
const MIN_BACK_PRESSURE_BYTES = 1_048_576;

/** Bytes that the library buffers for one socket before it drops frames. */
function backPressureBytes(maxAnswerBytes: number): number {
  return Math.max(maxAnswerBytes * BACK_PRESSURE_PER_ANSWER_BYTE, MIN_BACK_PRESSURE_BYTES);
}

/** Maximum bytes of a frame other than the final one of an answer. */
export function softLimitBytes(maxAnswerBytes: number): number {
  return backPressureBytes(maxAnswerBytes) / 4;
}

/** Share of the sockets that only authenticated clients can have. */
const AUTHENTICATED_RESERVE = 0.1;

const endpoints = { "/ws/chat": "anonymous", "/ws/chat/auth": "authenticated" } as const;
type Endpoint = (typeof endpoints)[keyof typeof endpoints];

/** What the library keeps with each WebSocket. */
interface UserData {
  readonly endpoint: Endpoint;
  /** Null once the socket is open, to save memory on thousands of idle sockets. */
  decision: Exclude<UpgradeDecision, { kind: "reject" }> | null;
  socket: UwsSocket<UserData> | null;
  session: Session | null;
}

/** Creates the transport on uWebSockets.js: one port for HTTP and all WebSockets. */
export function createUwsTransport(options: UwsTransportOptions): UwsTransport {
  const { library, sessions, metrics, clock, watch, logger, connections, maxFrameBytes } = options;
  const { addresses } = options.upgradePolicy;
  const { maxConnections } = options;
  // Without a key, no authenticated client can connect.
  const reserve = options.upgradePolicy.tokenVerifier.configured ? AUTHENTICATED_RESERVE : 0;
  const maxAnonymous = maxConnections - Math.floor(maxConnections * reserve);
  let draining = false;
  let endedWithBytes = false;
  const encoder = new WireEncoder();
  // Faster than Buffer.toString for short texts. A byte order mark is part of the text.
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const host: SocketHost = {
    buffers: options.buffers,
    clock,
    encoder,
    endedWithBytes: () => (endedWithBytes = true),
  };
  const http: HttpHost = { encoder, clock, logger, turn: new TurnQuota() };
  let listener: us_listen_socket | null = null;
  const decide = createUpgradePolicy({
    ...options.upgradePolicy,
    metrics,
    full: (endpoint) =>
      sessions.size >= (endpoint === "authenticated" ? maxConnections : maxAnonymous) ||
      connections.isNearlyFull,
    subjectFull: (subject) => sessions.subjectFull(subject),
    draining: () => draining,
  });
  /** The library ends the process if a handler throws before it has replied. */
  const decideSafely = (facts: UpgradeRequest): UpgradeDecision => {
    try {
      return decide(facts);
    } catch (error) {
      logger.error({ err: error }, "deciding on an upgrade failed");
      return { kind: "reject", status: 500, message: "Unexpected server error; it was logged." };
    }
  };
  const app = library.App();
  for (const [path, endpoint] of Object.entries(endpoints)) {
    app.ws<UserData>(path, {
      compression: library.DISABLED,
      maxPayloadLength: maxFrameBytes * PAYLOAD_HEADROOM,
      maxBackpressure: backPressureBytes(options.maxAnswerBytes),
      idleTimeout: options.idleTimeoutSeconds,
      sendPingsAutomatically: true,
      upgrade: (res, req, context) => {
        watch.begin("upgrade");
        const decision = decideSafely(upgradeFacts(res, req, endpoint));
        if (decision.kind === "reject") reject(res, decision, http);
        else accept(res, req, context, endpoint, decision);
        watch.end();
      },
      open: (ws) => open(ws, host, options),
      message: (ws, message, isBinary) => {
        const { session, socket } = ws.getUserData();
        if (session === null || socket?.ending === true) return;
        if (message.byteLength > maxFrameBytes) session.onTooBig(message.byteLength);
        else if (isBinary) session.onBinary();
        // Both copy the bytes; the library reuses its buffer after this call.
        else if (message.byteLength < MIN_LARGE_BYTES) session.onText(decoder.decode(message));
        else session.onLargeText(Buffer.from(message.slice(0)));
      },
      // The library has already answered the ping.
      ping: (ws) => ws.getUserData().session?.onControl(),
      pong: (ws) => ws.getUserData().session?.onControl(),
      drain: (ws) => {
        // Not within the event. If several sockets drain in one turn and are filled again in their drain events, the
        // library stops polling some of them for writability, and their readers would wait forever.
        const data = ws.getUserData();
        setImmediate(() => {
          watch.begin("drain");
          if (data.socket?.drained() !== true) data.session?.onDrain();
          watch.end();
        });
      },
      close: (ws, code) => {
        const data = ws.getUserData();
        connections.socketClosed();
        data.socket?.markClosed();
        if (data.session === null || data.socket === null) return;
        metrics.connectionClosed(endpoint, code);
        addresses?.closed(data.socket.address);
        sessions.closed(data.session);
        data.session = null;
      },
    });
  }
  const { originPolicy, hostPolicy, resolveAddress } = options.upgradePolicy;
  app.filter((res, change) => {
    if (Number(change) < 0) {
      connections.disconnected();
      return;
    }
    const peer = Buffer.from(res.getRemoteAddressAsText()).toString();
    const address = resolveAddress.isProxy(peer) ? null : resolveAddress({ peer }).accountKey;
    const exceeded = connections.connected(address);
    if (exceeded === null) return;
    metrics.connectionRefused("limit");
    metrics.limitHit(exceeded);
    res.close();
  });
  const socketPaths = Object.keys(endpoints);
  app.any(
    "/*",
    createHttpRouter({
      routes: options.routes,
      socketPaths,
      originPolicy,
      hostPolicy,
      resolveAddress,
      connections,
      metrics,
      watch,
      http,
    }),
  );

  return {
    async listen() {
      listener = await listenOn(app, options.host, options.port);
      return library.us_socket_local_port(listener);
    },
    get endedWithBytes() {
      return endedWithBytes;
    },
    stopListening() {
      draining = true;
      endedWithBytes = false;
      if (listener !== null) library.us_listen_socket_close(listener);
      listener = null;
    },
    close() {
      app.close();
    },
  };
}

/** The upgrade request, copied before the library reuses its buffers. */
function upgradeFacts(res: HttpResponse, req: HttpRequest, endpoint: Endpoint): UpgradeRequest {
  return {
    endpoint,
    host: req.getHeader("host"),
    origin: req.getHeader("origin"),
    query: new URLSearchParams(req.getQuery()),
    protocols: req.getHeader("sec-websocket-protocol"),
    ...peerFacts(res, req),
  };
}

function reject(
  res: HttpResponse,
  { status, message, retryAfterMs }: Extract<UpgradeDecision, { kind: "reject" }>,
  http: HttpHost,
): void {
  const headers = retryAfterMs === undefined ? {} : retryAfter(retryAfterMs);
  new HttpExchange(res, "GET", http).reply({ ...errorReply(status, message, headers), closes: true });
}

function accept(
  res: HttpResponse,
  req: HttpRequest,
  context: us_socket_context_t,
  endpoint: Endpoint,
  decision: Exclude<UpgradeDecision, { kind: "reject" }>,
): void {
  const key = req.getHeader("sec-websocket-key");
  const extensions = req.getHeader("sec-websocket-extensions");
  const data: UserData = { endpoint, decision, socket: null, session: null };
  res.upgrade(data, key, decision.subprotocol, extensions, context);
}

function open(
  ws: WebSocket<UserData>,
  host: SocketHost,
  { sessions, metrics, connections, upgradePolicy }: UwsTransportOptions,
): void {
  connections.upgraded();
  const data = ws.getUserData();
  const { decision, endpoint } = data;
  if (decision === null) return;
  data.decision = null;
  if (decision.kind === "refuse") {
    ws.end(decision.code, host.encoder.closeReason(decision.reason));
    return;
  }
  metrics.connectionOpened(endpoint);
  const { address } = decision.identity;
  upgradePolicy.addresses?.opened(address);
  const socket = new UwsSocket(ws, address, host);
  data.socket = socket;
  data.session = sessions.open(socket, decision.identity);
  socket.closeToFreeMemory = () => data.session?.closeToFreeMemory();
}
