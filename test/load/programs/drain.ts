import { setTimeout as pause } from "node:timers/promises";
import { startService } from "../../support/service.ts";
import { roomForSockets } from "../socket-room.ts";
import { LoadSocket, openAll, type LoadFrame } from "./load-socket.ts";
import { bar, type Bar, type LoadProgram } from "./program.ts";
import { messageOf, tally } from "./report.ts";

/** Milliseconds between tokens. */
const TOKEN_MS = 50;

/** Length of the running answers, as a share of the drain deadline. */
const ANSWER_SHARE = 0.6;

/** Longest time in milliseconds that a stopping service may take beyond its deadline. */
const EXIT_MS = 10_000;

interface Client {
  readonly index: number;
  readonly streams: boolean;
  notified: boolean;
  code: number | null;
  closedAt: number;
  text: string;
  end: LoadFrame | null;
}

/** Stops a service with many open sockets and checks what each of them received. */
export const drain: LoadProgram = {
  summary: "many sockets, some with a running answer, when the service is stopped",
  options: {
    sockets: { default: 5_000, doc: "sockets" },
    answers: { default: 200, doc: "sockets among them with a running answer" },
    seconds: { default: 10, doc: "DRAIN_SECONDS of the service" },
  },
  run({ sockets = 0, answers = 0, seconds = 0 }) {
    const problem = roomForSockets(sockets);
    if (problem !== null) throw new Error(problem);
    return drive({ sockets, answers: Math.min(answers, sockets), drainSeconds: seconds });
  },
};

interface DrainOptions {
  readonly sockets: number;
  readonly answers: number;
  readonly drainSeconds: number;
}

async function drive({ sockets, answers, drainSeconds }: DrainOptions): Promise<Bar[]> {
  const service = await startService({
    AI_PROVIDER: "echo",
    ECHO_TOKEN_MS: String(TOKEN_MS),
    MAX_CONNECTIONS: String(sockets + 100),
    MAX_SESSIONS: "1000000",
    DRAIN_SECONDS: String(drainSeconds),
  });
  const clients: Client[] = [];
  try {
    const opened = await openAll(sockets, (index) => connect(service.url, index, clients));
    const tokens = Math.floor((drainSeconds * 1000 * ANSWER_SHARE) / TOKEN_MS);
    const messages = Array.from({ length: answers }, (_, index) => messageOf(tokens, `w${index}`));
    // Spread over all sockets, so that streaming and plain sockets both have running answers.
    const asking = opened.filter((_, index) => index % Math.floor(sockets / answers) === 0).slice(0, answers);
    asking.forEach((socket, index) => socket.send({ message: messages[index], id: `a${index}` }));
    await pause(1000);
    const startedAt = performance.now();
    service.kill("SIGTERM");
    const exit = await Promise.race([
      service.exited,
      pause(drainSeconds * 1000 + EXIT_MS, null, { ref: false }),
    ]);
    const tookMs = performance.now() - startedAt;
    await pause(500);
    const asked = asking.map((socket) => clients[opened.indexOf(socket)] as Client);
    return report({ clients, asked, messages, exit: exit?.code ?? null, tookMs, startedAt });
  } finally {
    service.kill("SIGKILL");
  }
}

function connect(url: string, index: number, clients: Client[]): LoadSocket {
  const streams = index % 2 === 0;
  const client: Client = { index, streams, notified: false, code: null, closedAt: 0, text: "", end: null };
  clients[index] = client;
  return new LoadSocket({
    url: `${url}/ws/chat`,
    protocols: streams ? ["chat.v1"] : [],
    frame(frame) {
      if (frame.type === "goaway" || frame.event === "draining") client.notified = true;
      else if (frame.type === "token") client.text += frame.content ?? "";
      else if (frame.type === "message") client.end = frame;
    },
    closed(code) {
      client.code = code;
      client.closedAt = performance.now();
    },
  });
}

interface DrainResult {
  readonly clients: readonly Client[];
  readonly asked: readonly Client[];
  readonly messages: readonly string[];
  readonly exit: number | null;
  readonly tookMs: number;
  readonly startedAt: number;
}

function report({ clients, asked, messages, exit, tookMs, startedAt }: DrainResult): Bar[] {
  const restarted = clients.filter(({ code }) => code === 1012).length;
  const notified = clients.filter((client) => client.notified).length;
  const whole = asked.filter(({ end, text, streams }, index) => {
    const wanted = messages[index];
    return end?.content === wanted && end?.finish_reason === "stop" && (!streams || text === wanted);
  }).length;
  const perSecond = tally(
    clients
      .map(({ closedAt }) => Math.floor((closedAt - startedAt) / 1000))
      .toSorted((a, b) => a - b)
      .map((second) => `second ${second}`),
  );
  console.log(
    `${clients.length} sockets, ${asked.length} answers; close codes: ${tally(clients.map(({ code }) => code ?? "open"))}`,
  );
  console.log(`closed in ${perSecond}; the process exited after ${(tookMs / 1000).toFixed(1)} s`);
  const share = restarted / clients.length;
  const notifiedShare = notified / clients.length;
  return [
    bar("sockets closed with 1012", `${(share * 100).toFixed(2)} %`, "≥ 99.9 %", share >= 0.999),
    bar(
      "sockets notified before the close",
      `${(notifiedShare * 100).toFixed(2)} %`,
      "≥ 99.9 %",
      notifiedShare >= 0.999,
    ),
    bar("whole answers", `${whole} of ${asked.length}`, "all", whole === asked.length),
    bar("exit code", String(exit), "0", exit === 0),
  ];
}
