import { setTimeout as pause } from "node:timers/promises";
import { percentile } from "../../bench/harness/statistics.ts";
import { startService, until, type Service } from "../../support/service.ts";
import { createField } from "../attacks/field.ts";
import { Wires } from "../attacks/wires.ts";
import { roomForSockets } from "../socket-room.ts";
import { bar, none, type Bar, type LoadProgram } from "./program.ts";
import { inMib, loggedErrors, readFigures } from "./server-figures.ts";

/** Connections that are opened at once while the sessions are filled: fewer than the backlog of the port. */
const MAX_OPEN = 400;

/** Stalls above this are faults of the service if it used the CPU meanwhile, in milliseconds. */
const MAX_STALL_MS = 200;

/** Bar of the 99.9th percentile of the event loop's delays, in milliseconds. */
const MAX_DELAY_MS = 50;

/** Checks of the event loop per second, see `EventLoopWatch`. */
const CHECKS_PER_SECOND = 20;

/** Fills MAX_SESSIONS from many addresses and then connects at a steady rate, so that each connect evicts a session. */
export const sessions: LoadProgram = {
  summary:
    "MAX_SESSIONS sessions of many addresses, then connects at a steady rate, each of which evicts one",
  options: {
    sessions: { default: 200_000, doc: "sessions to fill" },
    addresses: { default: 1000, doc: "addresses of the clients" },
    rate: { default: 500, doc: "connects a second when the sessions are full" },
    seconds: { default: 60, doc: "seconds at this rate" },
  },
  async run(options) {
    const problem = roomForSockets(MAX_OPEN);
    if (problem !== null) throw new Error(problem);
    const service = await startService({
      AI_PROVIDER: "echo",
      MAX_SESSIONS: String(options["sessions"]),
      RATE_LIMITS: "off",
    });
    try {
      return await drive(service, options);
    } finally {
      await service.stop();
    }
  },
};

async function drive(
  service: Service,
  { sessions: count = 0, addresses = 0, rate = 0, seconds = 0 }: Readonly<Record<string, number>>,
): Promise<Bar[]> {
  const wires = new Wires(service.port);
  const field = createField(wires, addresses, "");
  const connect = (index: number): void => {
    const wire = wires.open(field.many(index), {
      // The welcome: the session exists.
      data: (chunk) => {
        if (chunk.includes('"session"')) wire?.close();
      },
    });
    wire?.write(field.upgradeRequest);
  };
  let connected = 0;
  for (let stored = 0; stored < count; stored = (await readFigures(service)).gauges.get("sessions") ?? 0) {
    for (let batch = 0; batch < MAX_OPEN; batch++) connect(connected++);
    await until(() => wires.openNow === 0, 60_000);
    // Only the steps of one attack are replayed; these are not.
    wires.steps.length = 0;
  }
  await readFigures(service);
  const delays: number[] = [];
  const begin = performance.now();
  let sent = 0;
  const timer = setInterval(() => {
    const due = ((performance.now() - begin) / 1000) * rate;
    while (sent < due) connect(connected + sent++);
    wires.steps.length = 0;
  }, 5);
  let memory = 0;
  for (let second = 0; second < seconds; second++) {
    await pause(1000);
    const { gauges, rss } = await readFigures(service);
    memory = Math.max(memory, rss);
    delays.push((gauges.get("event_loop_max_delay_seconds") ?? Number.NaN) * 1000);
  }
  clearInterval(timer);
  wires.closeAll();
  const stalls = service.log.filter(
    ({ msg, cpuMs }) => String(msg).startsWith("the event loop did not run") && Number(cpuMs) > MAX_STALL_MS,
  );
  console.log(`${sent} connects to ${count} stored sessions; memory at most ${inMib(memory)}`);
  console.log(
    `longest delay in each second: p50 ${percentile(delays, 0.5).toFixed(1)} ms, highest ${Math.max(...delays).toFixed(1)} ms`,
  );
  // Each second has one longest delay. If so many of them are short, so are 99.9 % of all checks.
  const allowed = Math.floor((delays.length * CHECKS_PER_SECOND) / 1000);
  const long = delays.filter((delay) => delay > MAX_DELAY_MS).length;
  return [
    bar(
      `event-loop delay p99.9 ≤ ${MAX_DELAY_MS} ms`,
      `${long} seconds above it`,
      `≤ ${allowed}`,
      long <= allowed,
    ),
    none(`stalls with over ${MAX_STALL_MS} ms of CPU`, stalls.length),
    none("errors in the log", loggedErrors(service).length),
  ];
}
