import { randomBytes } from "node:crypto";
import { createTokenSigner } from "../../src/auth/token-signer.ts";
import { systemClock as clock } from "../../src/core/clock.ts";
import { startService } from "../support/service.ts";
import type { ConnectPlan } from "./harness/connect-client.ts";
import { startLoadClients, startRawServer } from "./harness/processes.ts";
import { measureInTurns, type Contender, type RoundsOptions, type RoundsResult } from "./harness/rounds.ts";

export interface ConnectOptions extends RoundsOptions {
  /** Number of sockets being opened at the same time. */
  readonly sockets: number;
  /** Load client processes per contender. */
  readonly clients: number;
}

const TOKEN_SECONDS = 3600;

/**
 * Measures upgrade, session and welcome, with and without a token, against an upgrade that does nothing else. The
 * sockets are dropped at once. Their sessions stay until they expire, as in production.
 */
export async function measureConnect(options: ConnectOptions): Promise<RoundsResult> {
  const stops: (() => Promise<unknown>)[] = [];
  try {
    const { clients } = options;
    const sockets = Math.ceil(options.sockets / clients);
    const secret = randomBytes(32).toString("hex");
    const token = createTokenSigner({ secret, clock })("bench", TOKEN_SECONDS);
    const service = await startService({
      AI_PROVIDER: "echo",
      JWT_SECRET: secret,
      // The limit checks are part of the measurement, but one address with one subject must not reach a limit.
      RATE_LIMITS: "on",
      MAX_CONNECTIONS_PER_ADDRESS: "1000000",
      MAX_UPGRADES_PER_MINUTE: "1000000",
      MAX_CONNECTIONS_PER_CLIENT: "100000",
    });
    stops.push(() => service.stop());
    const raw = await startRawServer("raw-echo");
    stops.push(() => raw.stop());
    const startContender = async (
      name: string,
      server: { pid: number; port: number },
      target: Pick<ConnectPlan, "path" | "greets">,
    ): Promise<Contender> => {
      const plan = { kind: "connect", port: server.port, sockets, ...target } as const;
      const started = await startLoadClients(plan, clients);
      stops.push(() => started.stop());
      return { name, pid: server.pid, clients: started };
    };
    const authenticated = { path: `/ws/chat/auth?token=${token}`, greets: true };
    return await measureInTurns(
      [
        await startContender("service, JWT", service, authenticated),
        await startContender("service, anonymous", service, { path: "/ws/chat", greets: true }),
        await startContender("raw upgrade", raw, { path: "/", greets: false }),
      ],
      options,
    );
  } finally {
    for (const stop of stops.toReversed()) await stop();
  }
}
