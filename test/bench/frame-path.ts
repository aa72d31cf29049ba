import { startService } from "../support/service.ts";
import { startLoadClients, startRawServer } from "./harness/processes.ts";
import { measureInTurns, type Contender, type RoundsOptions, type RoundsResult } from "./harness/rounds.ts";

export interface FramePathOptions extends RoundsOptions {
  readonly sockets: number;
  /** Outstanding requests per socket. 1 is a client that waits for each reply. */
  readonly depth: number;
  /** Load client processes per server. */
  readonly clients: number;
}

const PING = JSON.stringify({ type: "ping" });
const PONG = JSON.stringify({ type: "pong" });

/**
 * Measures `ping` to `pong` through decoding, JSON, schema and limits, against an echo of the same number of bytes.
 * Both servers and all sockets stay up throughout.
 */
export async function measureFramePath(options: FramePathOptions): Promise<RoundsResult> {
  const stops: (() => Promise<unknown>)[] = [];
  try {
    const { depth, clients } = options;
    const sockets = Math.ceil(options.sockets / clients);
    const service = await startService({
      AI_PROVIDER: "echo",
      MAX_CONNECTIONS: String(sockets * clients + 100),
      // The limit checks are part of the measurement, but a socket that never pauses must not reach a limit.
      RATE_LIMITS: "on",
      MAX_FRAMES_PER_SECOND: "100000",
      MAX_CONNECTIONS_PER_ADDRESS: "1000000",
      MAX_UPGRADES_PER_MINUTE: "1000000",
    });
    stops.push(() => service.stop());
    const raw = await startRawServer("raw-echo");
    stops.push(() => raw.stop());
    const plan = { kind: "ping", depth, sockets, path: "/ws/chat", request: PING } as const;
    const startContender = async (
      name: string,
      server: { pid: number; port: number },
      reply: string,
    ): Promise<Contender> => {
      const started = await startLoadClients({ ...plan, port: server.port, reply }, clients);
      stops.push(() => started.stop());
      return { name, pid: server.pid, clients: started };
    };
    const ours = await startContender("service", service, PONG);
    // An echo returns the request, and PING has as many bytes as PONG.
    const yardstick = await startContender("raw echo", raw, PING);
    return await measureInTurns([ours, yardstick], options);
  } finally {
    for (const stop of stops.toReversed()) await stop();
  }
}
