import { startService } from "../support/service.ts";
import type { FramePathOptions } from "./frame-path.ts";
import type { Counted } from "./harness/load-client.ts";
import { startLoadClients, startRawServer, type LoadClients } from "./harness/processes.ts";
import { measureInTurns, type Contender, type RoundsResult } from "./harness/rounds.ts";

/** Milliseconds between two tokens of a socket: 50 tokens per second. */
const TOKEN_MS = 20;

/**
 * Measures answers of the echo provider at 50 tokens per second on many sockets, against a bare loop that sends the
 * same number of frames and bytes at the same pace. The result is frames per CPU second of the server.
 */
export async function measurePacedTokens(options: FramePathOptions): Promise<RoundsResult> {
  const stops: (() => Promise<unknown>)[] = [];
  try {
    const { clients } = options;
    const sockets = Math.ceil(options.sockets / clients);
    const service = await startService({
      AI_PROVIDER: "echo",
      ECHO_TOKEN_MS: String(TOKEN_MS),
      ECHO_ANSWER_BYTES: "65536",
      RATE_LIMITS: "off",
      MAX_CONNECTIONS: String(sockets * clients + 100),
      MAX_HISTORY_BYTES: "1024",
    });
    stops.push(() => service.stop());
    const raw = await startRawServer("raw-stream");
    stops.push(() => raw.stop());
    const start = async (port: number, path: string, request: string): Promise<LoadClients> => {
      const plan = {
        kind: "stream",
        port,
        path,
        sockets,
        again: false,
        spreadMs: 10 * TOKEN_MS,
        request,
        tokenMs: TOKEN_MS,
      } as const;
      const started = await startLoadClients(plan, clients);
      stops.push(() => started.stop());
      return started;
    };
    const ours = await start(
      service.port,
      "/ws/chat?stream=true",
      JSON.stringify({ message: "word", max_tokens: "$tokens" }).replace('"$tokens"', "$tokens"),
    );
    const bare = await start(raw.port, "/", '{"frames":$frames,"bytes":$bytes,"ms":$ms}');
    let sent: Counted = { replies: 0, frames: 0, bytes: 0 };
    const contenders: readonly Contender[] = [
      {
        name: "service",
        pid: service.pid,
        clients: { pids: ours.pids, run: async (ms) => (sent = await ours.count({ ms })).frames },
      },
      {
        // Always measured after the service, since it sends as many frames and bytes as the service did.
        name: "raw send loop",
        pid: raw.pid,
        clients: {
          pids: bare.pids,
          run: async (ms) => (await bare.count({ ms, frames: sent.frames, bytes: sent.bytes })).frames,
        },
      },
    ];
    return await measureInTurns(contenders, options);
  } finally {
    for (const stop of stops.toReversed()) await stop();
  }
}
