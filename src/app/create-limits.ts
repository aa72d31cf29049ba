import type { Config } from "../config/schema.ts";
import type { Clock } from "../core/clock.ts";
import { systemEventLoop } from "../core/event-loop.ts";
import type { Logger } from "../core/logger.ts";
import type { LoopWatch } from "../core/loop-watch.ts";
import type { Metrics } from "../core/metrics.ts";
import { FrameTurns } from "../session/limits/frame-turns.ts";
import { RateLimits } from "../session/limits/rate-limits.ts";
import { ReplayBudgets } from "../session/limits/replay-budgets.ts";
import { AddressLimits } from "../transport/uws/address-limits.ts";
import { ConnectionLimits } from "../transport/uws/connection-limits.ts";

/** Share of MAX_BUFFERED_MB for frames that wait to be handled. */
const WAITING_FRAMES_SHARE = 1 / 8;

/** Minimum bytes for them: thousands of sockets may send a message at the same moment. */
const MIN_WAITING_FRAMES_BYTES = 4_194_304;

const MIB = 1_048_576;

/** The limits of the service. RATE_LIMITS=off sets those that it disables to null. */
export interface ServiceLimits {
  readonly rates: RateLimits | null;
  readonly addresses: AddressLimits | null;
  readonly replays: ReplayBudgets | null;
  readonly connections: ConnectionLimits;
  readonly turns: FrameTurns;
}

interface LimitHost {
  readonly clock: Clock;
  readonly watch: LoopWatch;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Creates all limits. `descriptors`: the number of connections that the system allows; undefined if unknown. */
export function createLimits(
  config: Config,
  descriptors: number | undefined,
  host: LimitHost,
): ServiceLimits {
  const { clock, watch, metrics } = host;
  const connections = new ConnectionLimits({
    ...host,
    maxHttpConnections: config.MAX_HTTP_CONNECTIONS,
    maxDescriptors: descriptors,
    rates: config.RATE_LIMITS
      ? {
          requestsPerMinute: config.MAX_HTTP_REQUESTS_PER_MINUTE,
          upgradesPerMinute: config.MAX_UPGRADES_PER_MINUTE,
        }
      : null,
  });
  const turns = (maxPerSocket: number): FrameTurns =>
    new FrameTurns({
      loop: systemEventLoop(),
      watch,
      metrics,
      maxPerSocket,
      maxBytes: Math.max(config.MAX_BUFFERED_MB * MIB * WAITING_FRAMES_SHARE, MIN_WAITING_FRAMES_BYTES),
    });
  if (!config.RATE_LIMITS) {
    return { rates: null, addresses: null, replays: null, connections, turns: turns(Infinity) };
  }
  const rates = new RateLimits({
    framesPerSecond: config.MAX_FRAMES_PER_SECOND,
    acksPerSecond: config.MAX_ACKS_PER_SECOND,
    messagesPerMinute: config.MAX_MESSAGES_PER_MINUTE,
    messagesPerMinutePerAddress: config.MAX_MESSAGES_PER_MINUTE_PER_ADDRESS,
    clock,
  });
  const addresses = new AddressLimits({
    maxConnections: config.MAX_CONNECTIONS_PER_ADDRESS,
    upgradesPerMinute: config.MAX_UPGRADES_PER_MINUTE,
    clock,
  });
  const replays = new ReplayBudgets({
    bytesPerSecond: config.MAX_REPLAY_BYTES_PER_SECOND,
    maxKeys: config.MAX_SESSIONS,
    clock,
  });
  metrics.gauge(
    "rate_budgets",
    "Rate-limit budgets of clients and addresses that are not full",
    () => rates.size + addresses.budgets + replays.size + connections.budgets,
  );
  metrics.gauge("addresses", "Addresses with at least one open socket", () => addresses.size);
  // What the rates allow at once never closes a socket.
  const maxPerSocket = rates.frames.burst + rates.acks.burst;
  return { rates, addresses, replays, connections, turns: turns(maxPerSocket) };
}
