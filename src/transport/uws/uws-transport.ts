import uWS, {
  type HttpRequest,
  type HttpResponse,
  type us_listen_socket,
  type us_socket_context_t,
  type WebSocket,
} from "uWebSockets.js";
import type { Logger } from "../../core/logger.ts";
import type { Metrics } from "../../core/metrics.ts";
import type { BufferAccount } from "../../session/buffer-account.ts";
import type { Session } from "../../session/session.ts";
import type { SessionRegistry } from "../../session/session-registry.ts";
import { createDoor, type DoorOptions, type UpgradeFacts, type Verdict } from "./door.ts";
import { errorReply, statusLine, type HttpRoute } from "./http-reply.ts";
import { createHttpRouter } from "./http-router.ts";
import { peerFacts } from "./peer-facts.ts";
import { UwsSocket, type SocketHost } from "./uws-socket.ts";

export interface UwsTransportOptions {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly maxFrameBytes: number;
  readonly maxAnswerBytes: number;
  /** 8..960; anything else would abort the whole process. */
  readonly idleTimeoutSeconds: number;
  readonly door: Omit<DoorOptions, "connections" | "subjectFull" | "draining" | "metrics">;
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

/** LIBUS_LISTEN_EXCLUSIVE_PORT; the enum of the types does not exist at run time. */
const EXCLUSIVE_PORT = 1;

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
  verdict: Exclude<Verdict, { kind: "reject" }> | null;
  /** Key of the address that counts it. */
  address: string;
  socket: UwsSocket<UserData> | null;
  session: Session | null;
}

/** The one place that knows uWebSockets.js: one event loop, one port, all sockets. */
export function createUwsTransport(options: UwsTransportOptions): UwsTransport {
  const { sessions, metrics, logger, maxFrameBytes } = options;
  const { addresses } = options.door;
  let draining = false;
  let endedWithBytes = false;
  const host: SocketHost = { buffers: options.buffers, endedWithBytes: () => (endedWithBytes = true) };
  let listener: us_listen_socket | null = null;
  const decide = createDoor({
    ...options.door,
    metrics,
    connections: () => sessions.size,
    subjectFull: (subject) => sessions.subjectFull(subject),
    draining: () => draining,
  });
  const app = uWS.App();
  for (const [path, endpoint] of Object.entries(endpoints)) {
    app.ws<UserData>(path, {
      compression: uWS.DISABLED,
      maxPayloadLength: maxFrameBytes * PAYLOAD_HEADROOM,
      maxBackpressure: backPressureBytes(options.maxAnswerBytes),
      idleTimeout: options.idleTimeoutSeconds,
      sendPingsAutomatically: true,
      upgrade: (res, req, context) => upgrade(res, req, context, endpoint, decide),
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
  const { originPolicy, hostPolicy, resolveAddress } = options.door;
  const socketPaths = Object.keys(endpoints);
  app.any(
    "/*",
    createHttpRouter({
      routes: options.routes,
      socketPaths,
      originPolicy,
      hostPolicy,
      resolveAddress,
      logger,
    }),
  );

  return {
    listen: () =>
      new Promise((resolve, reject) => {
        const { host, port } = options;
        const listened = (socket: us_listen_socket | false): void => {
          if (socket === false) {
            const mend = "Is another server running? Set PORT to a free one.";
            reject(new Error(`Cannot listen on ${host} port ${port}: it is taken or not allowed. ${mend}`));
            return;
          }
          listener = socket;
          resolve(uWS.us_socket_local_port(socket));
        };
        // The library takes host, port and options together, but its types do not know it. Without the exclusive
        // option a second server on the port would share its clients and nobody would be told.
        const listen = app.listen.bind(app) as unknown as (
          host: string,
          port: number,
          options: number,
          callback: (socket: us_listen_socket | false) => void,
        ) => void;
        listen(host, port, EXCLUSIVE_PORT, listened);
      }),
    get endedWithBytes() {
      return endedWithBytes;
    },
    stopListening() {
      draining = true;
      endedWithBytes = false;
      if (listener !== null) uWS.us_listen_socket_close(listener);
      listener = null;
    },
    close() {
      app.close();
    },
  };
}

function upgrade(
  res: HttpResponse,
  req: HttpRequest,
  context: us_socket_context_t,
  endpoint: Endpoint,
  decide: (facts: UpgradeFacts) => Verdict,
): void {
  const key = req.getHeader("sec-websocket-key");
  const extensions = req.getHeader("sec-websocket-extensions");
  const verdict = decide({
    endpoint,
    host: req.getHeader("host"),
    origin: req.getHeader("origin"),
    query: new URLSearchParams(req.getQuery()),
    authorization: req.getHeader("authorization"),
    protocols: req.getHeader("sec-websocket-protocol"),
    ...peerFacts(res, req),
  });
  if (verdict.kind === "reject") {
    const { retryAfterMs } = verdict;
    const headers =
      retryAfterMs === undefined ? {} : { "retry-after": String(Math.ceil(retryAfterMs / 1000)) };
    const reply = errorReply(verdict.status, verdict.message, headers);
    res.writeStatus(statusLine(reply.status));
    for (const [name, value] of Object.entries(reply.headers)) res.writeHeader(name, value);
    res.end(reply.body);
    return;
  }
  const data: UserData = { endpoint, verdict, address: "", socket: null, session: null };
  res.upgrade(data, key, verdict.subprotocol, extensions, context);
}

function open(
  ws: WebSocket<UserData>,
  host: SocketHost,
  { sessions, metrics, door }: UwsTransportOptions,
): void {
  const data = ws.getUserData();
  const { verdict, endpoint } = data;
  if (verdict === null) return;
  data.verdict = null;
  if (verdict.kind === "refuse") {
    ws.end(verdict.code, verdict.reason);
    return;
  }
  metrics.connectionOpened(endpoint);
  data.address = verdict.visitor.address;
  door.addresses?.opened(data.address);
  const socket = new UwsSocket(ws, host);
  data.socket = socket;
  data.session = sessions.open(socket, verdict.visitor);
  socket.shed = () => data.session?.shed();
}
