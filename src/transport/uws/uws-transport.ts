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

export interface UwsTransportOptions {
  readonly library: SocketLibrary;
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly maxFrameBytes: number;
  readonly maxAnswerBytes: number;
  /** 8..960; anything else would abort the whole process. */
  readonly idleTimeoutSeconds: number;
  readonly upgradePolicy: Omit<UpgradePolicyOptions, "connections" | "subjectFull" | "draining" | "metrics">;
  readonly routes: ReadonlyMap<string, HttpRoute>;
  readonly sessions: SessionRegistry;
  readonly buffers: BufferAccount;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

export interface UwsTransport {
  /** Resolves with the port. @throws Error with one clear line when the port is taken. */
  listen(): Promise<number>;
  /** Takes no new connection; those that are there stay. */
  stopListening(): void;
  /** Whether a socket was ended while bytes waited before its close frame: these need a reader, and time. */
  readonly endedWithBytes: boolean;
  /** Ends everything that is still connected, without a close frame. */
  close(): void;
}

/** A frame over MAX_FRAME_BYTES is answered with 1009 by us; over this multiple the library drops the connection. */
const PAYLOAD_HEADROOM = 4;

/**
 * The closing `message` holds an answer whole, and JSON can make six bytes of one: behind the largest of them a close
 * frame must still fit, or the library would lose it.
 */
const BACK_PRESSURE_PER_ANSWER_BYTE = 8;

/** The least, so that the largest `token` frame is within the soft limit however short answers are. */
const MIN_BACK_PRESSURE_BYTES = 1_048_576;

function backPressureBytes(maxAnswerBytes: number): number {
  return Math.max(maxAnswerBytes * BACK_PRESSURE_PER_ANSWER_BYTE, MIN_BACK_PRESSURE_BYTES);
}

/** Most bytes that a frame beside the end of an answer may put into a socket that is empty. */
export function softLimitBytes(maxAnswerBytes: number): number {
  return backPressureBytes(maxAnswerBytes) / 4;
}

const endpoints = { "/ws/chat": "anonymous", "/ws/chat/auth": "authenticated" } as const;
type Endpoint = (typeof endpoints)[keyof typeof endpoints];

interface UserData {
  readonly endpoint: Endpoint;
  /** Null once the socket is open: thousands of idle ones need not remember who asked for them. */
  decision: Exclude<UpgradeDecision, { kind: "reject" }> | null;
  /** Key of the address that counts it. */
  address: string;
  socket: UwsSocket<UserData> | null;
  session: Session | null;
}

/** The one place that knows uWebSockets.js: one event loop, one port, all sockets. */
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
        // Decoding copies: the library takes its buffer back at the end of this call.
        else session.onText(Buffer.from(message).toString("utf8"));
      },
      drain: (ws) => {
        // Not within the event: the library forgets to wait for room in a socket that is filled again there, when
        // several sockets drain in one turn, and their readers would wait for ever.
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

/** What the request says, copied before the library takes its buffers back. */
function upgradeFacts(res: HttpResponse, req: HttpRequest, endpoint: Endpoint): UpgradeRequest {
  return {
    endpoint,
    host: req.getHeader("host"),
    origin: req.getHeader("origin"),
    query: new URLSearchParams(req.getQuery()),
    authorization: req.getHeader("authorization"),
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
  writeReply(res, errorReply(status, message, headers), "GET", encoder);
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
