import uWS from "uWebSockets.js";
import { createAddressResolver } from "../../src/auth/client-address.ts";
import { createHostPolicy } from "../../src/auth/host-policy.ts";
import { createOriginPolicy } from "../../src/auth/origin-policy.ts";
import { createTokenVerifier } from "../../src/auth/token-verifier.ts";
import { systemClock, type Clock } from "../../src/core/clock.ts";
import type { Logger } from "../../src/core/logger.ts";
import type { LoopWatch } from "../../src/core/loop-watch.ts";
import { noMetrics } from "../../src/core/metrics.ts";
import { BufferAccount } from "../../src/session/delivery/buffer-account.ts";
import type { Session } from "../../src/session/session.ts";
import type { SessionRegistry } from "../../src/session/session-registry.ts";
import type { Socket } from "../../src/session/delivery/socket.ts";
import { ConnectionLimits } from "../../src/transport/uws/connection-limits.ts";
import type { HttpRoute } from "../../src/transport/uws/http-reply.ts";
import { createUwsTransport, type UwsTransport } from "../../src/transport/uws/uws-transport.ts";

/** A listening transport and what it has reported. */
export interface StartedTransport {
  readonly transport: UwsTransport;
  readonly port: number;
  /** Every socket that was opened, in order. */
  readonly sockets: Socket[];
  /** Close codes as reported to the metrics. */
  readonly closeCodes: number[];
  /** Number of drain events reported to sessions. */
  readonly drains: { count: number };
  /** Number of pings and pongs reported to sessions. */
  readonly controls: { count: number };
  stop(): void;
}

/** Settings of {@link startTransport}. */
export interface TransportSettings {
  /** 0 chooses any free port. */
  readonly port?: number;
  readonly idleTimeoutSeconds?: number;
  readonly routes?: ReadonlyMap<string, HttpRoute>;
  readonly connections?: ConnectionLimits;
  readonly clock?: Clock;
  /** Default: 100. */
  readonly maxConnections?: number;
  /** Secret of the tokens; without one no client can authenticate. */
  readonly secret?: string;
}

/** Starts a transport whose sessions do nothing. Each socket buffers 1 MiB, the minimum. */
export async function startTransport(settings: TransportSettings = {}): Promise<StartedTransport> {
  const { port = 0, idleTimeoutSeconds = 120, routes = new Map() } = settings;
  const sockets: Socket[] = [];
  const closeCodes: number[] = [];
  const drains = { count: 0 };
  let opened = 0;
  const controls = { count: 0 };
  const ignored = (): void => {};
  const session = {
    onText: ignored,
    onBinary: ignored,
    onTooBig: ignored,
    onControl: () => controls.count++,
    onDrain: () => drains.count++,
    closeToFreeMemory: ignored,
  };
  const sessions = {
    get size() {
      return opened - closeCodes.length;
    },
    subjectFull: () => false,
    open: (socket: Socket) => (opened++, sockets.push(socket), session as unknown as Session),
    closed: ignored,
  };
  const transport = createUwsTransport({
    library: uWS,
    host: "127.0.0.1",
    port,
    maxFrameBytes: 65_536,
    maxAnswerBytes: 65_536,
    maxConnections: settings.maxConnections ?? 100,
    connections: settings.connections ?? unlimitedConnections(),
    idleTimeoutSeconds,
    upgradePolicy: {
      allowAnonymous: true,
      originPolicy: createOriginPolicy({ allowedOrigins: [] }),
      hostPolicy: createHostPolicy({ listenHost: "127.0.0.1", allowedHosts: [] }),
      resolveAddress: createAddressResolver([]),
      tokenVerifier: createTokenVerifier({ secret: settings.secret, clock: systemClock }),
      addresses: null,
    },
    routes,
    sessions: sessions as unknown as SessionRegistry,
    buffers: new BufferAccount(Infinity, systemClock),
    watch: noLoopWatch,
    clock: settings.clock ?? systemClock,
    logger: quiet,
    metrics: { ...noMetrics, connectionClosed: (_endpoint, code) => void closeCodes.push(code) },
  });
  return {
    transport,
    port: await transport.listen(),
    sockets,
    closeCodes,
    drains,
    controls,
    stop() {
      transport.stopListening();
      transport.close();
    },
  };
}

/** Records nothing. */
export const noLoopWatch: LoopWatch = { begin() {}, end() {} };

/** Connection limits that no test reaches. */
export function unlimitedConnections(): ConnectionLimits {
  return new ConnectionLimits({
    maxHttpConnections: Infinity,
    maxDescriptors: undefined,
    rates: null,
    clock: systemClock,
    logger: quiet,
    metrics: noMetrics,
  });
}

const quiet: Logger = { debug() {}, info() {}, warn() {}, error() {} };
