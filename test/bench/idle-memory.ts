import { randomBytes } from "node:crypto";
import { createTokenSigner } from "../../src/auth/token-signer.ts";
import { systemClock as clock } from "../../src/core/clock.ts";
import { startService } from "../support/service.ts";
import { tableLines } from "../support/table.ts";
import { roomForSockets } from "../load/socket-room.ts";
import { collectGarbage, inspectorUrl } from "./harness/inspector.ts";
import type { MachineFacts } from "./harness/machine.ts";
import { startLoadClients, startRawServer } from "./harness/processes.ts";
import { residentBytes } from "./harness/resident-memory.ts";

/** Numbers of sockets between which the growth of memory is measured. */
const FEW = 1000;
const MANY = 10_000;
const TOKEN_SECONDS = 3600;
/** Target in bytes per socket. */
const AIM_BYTES = 2048;

/** Pause in milliseconds before memory is read, so that pending work is finished. */
const REST_MS = 1500;

interface Slope {
  readonly name: string;
  /** Resident bytes with {@link FEW} and with {@link MANY} sockets. */
  readonly few: number;
  readonly many: number;
  readonly bytesPerSocket: number;
}

/** Measures the memory per idle socket, each with another subject, and compares it with bare sockets. */
export async function idleMemoryBench(
  machine: MachineFacts,
  save: (name: string, result: object) => string,
): Promise<number> {
  const problem = roomForSockets(MANY);
  if (problem !== null) throw new Error(problem);
  const slopes = [await measureService(), await measureRawServer()];
  const file = save("bench-idle-memory", { bench: "idle-memory", machine, slopes });
  const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);
  const rows = slopes.map(({ name, few, many, bytesPerSocket }) => [
    name,
    mib(few),
    mib(many),
    String(Math.round(bytesPerSocket)),
  ]);
  for (const line of tableLines([
    ["resident memory", `MiB at ${FEW}`, `MiB at ${MANY}`, "bytes per socket"],
    ...rows,
  ]))
    console.log(line);
  const met = (slopes[0]?.bytesPerSocket ?? Infinity) <= AIM_BYTES;
  console.log(
    `Target: at most ${AIM_BYTES} bytes per socket: ${met ? "met" : "not met"}.\nAll samples: ${file}`,
  );
  return 0;
}

async function measureService(): Promise<Slope> {
  const secret = randomBytes(32).toString("hex");
  const sign = createTokenSigner({ secret, clock });
  const service = await startService({
    AI_PROVIDER: "echo",
    JWT_SECRET: secret,
    RATE_LIMITS: "off",
    MAX_CONNECTIONS: String(MANY + 100),
    NODE_OPTIONS: "--inspect=127.0.0.1:0",
  });
  try {
    const inspector = inspectorUrl(service.stderr());
    const path = (index: number): string => `/ws/chat/auth?token=${sign(`subject-${index}`, TOKEN_SECONDS)}`;
    return await measureSlope({
      name: "service, JWT",
      server: service,
      path,
      greets: true,
      rest: () => collectGarbage(inspector),
    });
  } finally {
    await service.stop();
  }
}

async function measureRawServer(): Promise<Slope> {
  const server = await startRawServer("raw-echo");
  try {
    // Its heap holds nothing to collect.
    return await measureSlope({
      name: "raw upgrade",
      server,
      path: () => "/",
      greets: false,
      rest: async () => {},
    });
  } finally {
    await server.stop();
  }
}

interface Subject {
  readonly name: string;
  readonly server: { readonly pid: number; readonly port: number };
  path(index: number): string;
  readonly greets: boolean;
  /** Releases memory that the process no longer needs. */
  rest(): Promise<void>;
}

async function measureSlope({ name, server, path, greets, rest }: Subject): Promise<Slope> {
  const stops: (() => Promise<void>)[] = [];
  const openUpTo = async (from: number, to: number): Promise<number> => {
    const paths = Array.from({ length: to - from }, (_, index) => path(from + index));
    const clients = await startLoadClients({ kind: "idle", port: server.port, paths, greets }, 1);
    stops.push(() => clients.stop());
    await new Promise((resolve) => setTimeout(resolve, REST_MS));
    await rest();
    await new Promise((resolve) => setTimeout(resolve, REST_MS));
    const open = await clients.run(0);
    if (open !== to - from) throw new Error(`${open} of ${to - from} sockets are open`);
    return residentBytes(server.pid);
  };
  try {
    const few = await openUpTo(0, FEW);
    const many = await openUpTo(FEW, MANY);
    return { name, few, many, bytesPerSocket: (many - few) / (MANY - FEW) };
  } finally {
    for (const stop of stops) await stop();
  }
}
