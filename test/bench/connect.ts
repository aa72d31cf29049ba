import { randomBytes } from "node:crypto";
import { createTokenSigner } from "../../src/auth/token-signer.ts";
import { systemClock as clock } from "../../src/core/clock.ts";
import { startService } from "../support/service.ts";
import type { ConnectPlan } from "./harness/connect-client.ts";
import { startLoadClients, startRawServer } from "./harness/processes.ts";
import { measureInTurns, type Contender, type RoundsOptions, type RoundsResult } from "./harness/rounds.ts";

export interface ConnectOptions extends RoundsOptions {
  /** Sockets that are being opened at a time. */
  readonly sockets: number;
  /** Processes of load clients for each contender. */
  readonly clients: number;
}

const TOKEN_SECONDS = 3600;

/**
 * Upgrade, session and welcome, with a token and without, against an upgrade that does nothing else. The sockets are
 * dropped at once; the sessions that they leave behind stay, as they do in service.
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
      // The limits are part of what is measured; one address with one subject must not meet them.
      RATE_LIMITS: "on",
      MAX_CONNECTIONS_PER_ADDRESS: "1000000",
      MAX_UPGRADES_PER_MINUTE: "1000000",
      MAX_CONNECTIONS_PER_CLIENT: "100000",
    });
    stops.push(() => service.stop());
    const raw = await startRawServer("raw-echo");
    stops.push(() => raw.stop());
    const contend = async (
      name: string,
      server: { pid: number; port: number },
      how: Pick<ConnectPlan, "path" | "greets">,
    ): Promise<Contender> => {
      const plan = { kind: "connect", port: server.port, sockets, ...how } as const;
      const started = await startLoadClients(plan, clients);
      stops.push(() => started.stop());
      return { name, pid: server.pid, clients: started };
    };
    const authenticated = { path: `/ws/chat/auth?token=${token}`, greets: true };
    return await measureInTurns(
      [
        await contend("service, JWT", service, authenticated),
        await contend("service, anonymous", service, { path: "/ws/chat", greets: true }),
        await contend("raw upgrade", raw, { path: "/", greets: false }),
      ],
      options,
    );
  } finally {
    for (const stop of stops.toReversed()) await stop();
  }
}
