import type {
  HttpRequest,
  HttpResponse,
  us_listen_socket,
  us_socket_context_t,
  WebSocket,
} from "uWebSockets.js";
import type { Logger } from "../../core/logger.ts";
import type { Metrics } from "../../core/metrics.ts";
import type { BufferAccount } from "../../session/delivery/buffer-account.ts";
import type { Session } from "../../session/session.ts";
import type { SessionRegistry } from "../../session/session-registry.ts";
import {
  createUpgradePolicy,
  type UpgradePolicyOptions,
  type UpgradeRequest,
  type UpgradeDecision,
} from "./upgrade-policy.ts";
import { errorReply, type HttpRoute } from "./http-reply.ts";
import { createHttpRouter } from "./http-router.ts";
import { listenOn } from "./listen.ts";
import { peerFacts } from "./peer-facts.ts";
import type { SocketLibrary } from "./socket-library.ts";
import { UwsSocket, type SocketHost } from "./uws-socket.ts";
import { WireEncoder } from "./wire-encoder.ts";
import { writeReply } from "./write-reply.ts";

/** Settings and collaborators of the transport. */
export interface UwsTransportOptions {
  readonly library: SocketLibrary;
  readonly host: string;
  /** 0 chooses any free port. */
  readonly port: number;
  readonly maxFrameBytes: number;
  readonly maxAnswerBytes: number;
  /** 8 to 960; uWebSockets.js aborts the process for any other value. */
  readonly idleTimeoutSeconds: number;
  readonly upgradePolicy: Omit<UpgradePolicyOptions, "connections" | "subjectFull" | "draining" | "metrics">;
  readonly routes: ReadonlyMap<string, HttpRoute>;
  readonly sessions: SessionRegistry;
  readonly buffers: BufferAccount;
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

const endpoints = { "/ws/chat": "anonymous", "/ws/chat/auth": "authenticated" } as const;
type Endpoint = (typeof endpoints)[keyof typeof endpoints];

/** What the library keeps with each WebSocket. */
interface UserData {
  readonly endpoint: Endpoint;
  /** Null once the socket is open, to save memory on thousands of idle sockets. */
  decision: Exclude<UpgradeDecision, { kind: "reject" }> | null;
  /** Account key of the address that the socket is counted for. */
  address: string;
  socket: UwsSocket<UserData> | null;
  session: Session | null;
}

/** Creates the transport on uWebSockets.js: one port for HTTP and all WebSockets. */
export function createUwsTransport(options: UwsTransportOptions): UwsTransport {
  const { library, sessions, metrics, logger, maxFrameBytes } = options;
  const { addresses } = options.upgradePolicy;
  let draining = false;
  let endedWithBytes = false;
  const encoder = new WireEncoder();
  const host: SocketHost = {
    buffers: options.buffers,
    encoder,
    endedWithBytes: () => (endedWithBytes = true),
  };
  let listener: us_listen_socket | null = null;
  const decide = createUpgradePolicy({
    ...options.upgradePolicy,
    metrics,
    connections: () => sessions.size,
    subjectFull: (subject) => sessions.subjectFull(subject),
    draining: () => draining,
  });
  const app = library.App();
  for (const [path, endpoint] of Object.entries(endpoints)) {
    app.ws<UserData>(path, {
      compression: library.DISABLED,
      maxPayloadLength: maxFrameBytes * PAYLOAD_HEADROOM,
      maxBackpressure: backPressureBytes(options.maxAnswerBytes),
      idleTimeout: options.idleTimeoutSeconds,
      sendPingsAutomatically: true,
      upgrade: (res, req, context) => {
        const decision = decide(upgradeFacts(res, req, endpoint));
        if (decision.kind === "reject") reject(res, decision, encoder);
        else accept(res, req, context, endpoint, decision);
      },
      open: (ws) => open(ws, host, options),
      message: (ws, message, isBinary) => {
        const { session } = ws.getUserData();
        if (session === null) return;
        if (message.byteLength > maxFrameBytes) session.onTooBig(message.byteLength);
        else if (isBinary) session.onBinary();
        // Decoding copies the bytes; the library reuses its buffer after this call.
        else session.onText(Buffer.from(message).toString("utf8"));
      },
      drain: (ws) => {
        // Not within the event. If several sockets drain in one turn and are filled again in their drain events, the
        // library stops polling some of them for writability, and their readers would wait forever.
        const data = ws.getUserData();
        setImmediate(() => data.session?.onDrain());
      },
      close: (ws, code) => {
        const data = ws.getUserData();
        data.socket?.markClosed();
        if (data.session === null) return;
        metrics.connectionClosed(endpoint, code);
        addresses?.closed(data.address);
        sessions.closed(data.session);
        data.session = null;
      },
    });
  }
  const { originPolicy, hostPolicy, resolveAddress } = options.upgradePolicy;
  const socketPaths = Object.keys(endpoints);
  app.any(
    "/*",
    createHttpRouter({
      routes: options.routes,
      socketPaths,
      originPolicy,
      hostPolicy,
      resolveAddress,
      encoder,
      logger,
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
  encoder: WireEncoder,
): void {
  const headers: Record<string, string> =
    retryAfterMs === undefined ? {} : { "retry-after": String(Math.ceil(retryAfterMs / 1000)) };
  const reply = errorReply(status, message, headers);
  if (status !== 400) {
    writeReply(res, reply, "GET", encoder);
    return;
  }
  // As in the HTTP router: nothing behind a request with contradicting headers is served.
  let aborted = false;
  res.onAborted(() => (aborted = true));
  setImmediate(() => {
    if (!aborted) res.cork(() => writeReply(res, { ...reply, closes: true }, "GET", encoder));
  });
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
  const data: UserData = { endpoint, decision, address: "", socket: null, session: null };
  res.upgrade(data, key, decision.subprotocol, extensions, context);
}

function open(
  ws: WebSocket<UserData>,
  host: SocketHost,
  { sessions, metrics, upgradePolicy }: UwsTransportOptions,
): void {
  const data = ws.getUserData();
  const { decision, endpoint } = data;
  if (decision === null) return;
  data.decision = null;
  if (decision.kind === "refuse") {
    ws.end(decision.code, host.encoder.closeReason(decision.reason));
    return;
  }
  metrics.connectionOpened(endpoint);
  data.address = decision.identity.address;
  upgradePolicy.addresses?.opened(data.address);
  const socket = new UwsSocket(ws, host);
  data.socket = socket;
  data.session = sessions.open(socket, decision.identity);
  socket.closeToFreeMemory = () => data.session?.closeToFreeMemory();
}
