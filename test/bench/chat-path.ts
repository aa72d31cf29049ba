import { startService } from "../support/service.ts";
import type { FramePathOptions } from "./frame-path.ts";
import { startLoadClients, startRawServer } from "./harness/processes.ts";
import { measureInTurns, type Contender, type RoundsResult } from "./harness/rounds.ts";

const REQUEST = JSON.stringify({ type: "message", message: "What is the capital of France?" });

/**
 * Measures a message through the whole service to its answer by the echo provider, not streamed, against a bare echo of
 * the request. Each socket sends its next message as soon as it has its answer.
 */
export async function measureChatPath(options: FramePathOptions): Promise<RoundsResult> {
  const stops: (() => Promise<unknown>)[] = [];
  try {
    const { clients } = options;
    const sockets = Math.ceil(options.sockets / clients);
    const service = await startService({
      AI_PROVIDER: "echo",
      RATE_LIMITS: "off",
      MAX_CONNECTIONS: String(sockets * clients + 100),
      // A bench sends so many messages that an unlimited history would dominate the figures.
      MAX_HISTORY_BYTES: "1024",
    });
    stops.push(() => service.stop());
    const raw = await startRawServer("raw-echo");
    stops.push(() => raw.stop());
    const startContender = async (
      name: string,
      server: { pid: number; port: number },
      path: string,
    ): Promise<Contender> => {
      const plan = {
        kind: "stream",
        port: server.port,
        path,
        sockets,
        again: true,
        spreadMs: 0,
        request: REQUEST,
        tokenMs: 0,
      } as const;
      const started = await startLoadClients(plan, clients);
      stops.push(() => started.stop());
      return { name, pid: server.pid, clients: started };
    };
    return await measureInTurns(
      [await startContender("service", service, "/ws/chat"), await startContender("raw echo", raw, "/")],
      options,
    );
  } finally {
    for (const stop of stops.toReversed()) await stop();
  }
}
