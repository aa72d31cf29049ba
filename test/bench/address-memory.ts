import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { WebSocket } from "ws";
import { loadConfig } from "../../src/config/load.ts";
import { systemClock as clock } from "../../src/core/clock.ts";
import { reportOf } from "../../src/core/errors.ts";
import { randomId } from "../../src/core/ids.ts";
import type { Principal } from "../../src/core/principal.ts";
import { Outbox } from "../../src/session/delivery/outbox.ts";
import { RateLimits } from "../../src/session/limits/rate-limits.ts";
import { MemoryAnswerLog } from "../../src/stores/memory/memory-answer-log.ts";
import { MemoryConversationStore } from "../../src/stores/memory/memory-conversation-store.ts";
import { MemorySessionStore } from "../../src/stores/memory/memory-session-store.ts";
import { addressBounds } from "../support/address-bounds.ts";
import { startService, type Service } from "../support/service.ts";
import { tableLines } from "../support/table.ts";
import { collectGarbage, inspectorUrl } from "./harness/inspector.ts";
import { residentBytes } from "./harness/resident-memory.ts";

const MIB = 1_048_576;

/** Maximum difference between a measured size and the one in docs/security.md, as a share of the latter. */
const TOLERANCE = 0.2;

/** Pause in milliseconds before memory is read, so that pending work is finished. */
const REST_MS = 1000;

/** Sockets that are open before the memory of the others is measured. */
const WARM_UP_SOCKETS = 500;

const MEASURED_SOCKETS = 3500;

/** Messages of each socket that wait behind the first one. */
const WAITING_MESSAGES = 4;

const ADDRESS = "addr:192.0.2.1";
const LIMITS = { reservedShare: 0, clock };

const { config } = loadConfig({});

/** Sizes in bytes of what one address can hold, by the kinds of {@link addressBounds}. */
type Sizes = Readonly<Record<string, number>>;

/** Compares the sizes that docs/security.md gives for the memory of one address with measured ones. */
export async function addressMemoryBench(save: (name: string, result: object) => string): Promise<number> {
  const sizes: Sizes = { ...(await storeSizes()), ...(await serviceSizes()) };
  const measured = addressBounds(config)
    .filter((bound) => bound.measured)
    .map(({ kind, bytesEach }) => ({ kind, documented: bytesEach, measured: sizes[kind] ?? NaN }));
  const rows = measured.map((row) => [row.kind, row.documented.toFixed(1), row.measured.toFixed(1)]);
  for (const line of tableLines([["bytes each", "documented", "measured"], ...rows])) console.log(line);
  console.log(`All samples: ${save("bench-address-memory", { bench: "address-memory", measured })}`);
  const wrong = measured.filter((row) => !(Math.abs(row.measured / row.documented - 1) <= TOLERANCE));
  for (const { kind } of wrong)
    console.error(`${kind}: more than ${TOLERANCE * 100} % from the documented size`);
  return wrong.length === 0 ? 0 : 1;
}

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

function usedBytes(): number {
  collect();
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Memory of what `fill` returns. */
async function heapOf(fill: () => unknown): Promise<number> {
  const before = usedBytes();
  const kept = await fill();
  const bytes = usedBytes() - before;
  if (kept === undefined) throw new Error("nothing was kept");
  return bytes;
}

/** A flat text of `units` characters, two bytes each in memory because of the first one. */
function wideText(units: number): string {
  return Buffer.from(`\u0436${"x".repeat(units - 1)}`).toString("utf8");
}

function anonymous(): Principal {
  const publicId = randomId();
  return { authenticated: false, client: `anon:${publicId}`, publicId, accountKey: ADDRESS };
}

function conversations(): MemoryConversationStore {
  return new MemoryConversationStore({
    ...LIMITS,
    historyBudgetBytes: config.HISTORY_BUDGET_MB * MIB,
    maxHistoryBytes: config.MAX_HISTORY_BYTES,
    historyTtlMs: config.HISTORY_TTL_SECONDS * 1000,
    contextBudgetBytes: config.CONTEXT_BUDGET_MB * MIB,
    anonymousContextBudgetBytes: config.ANONYMOUS_CONTEXT_BUDGET_MB * MIB,
    maxMessageIds: 1024 * config.ANSWER_BUDGET_MB,
    maxConversationsPerClient: config.MAX_CONVERSATIONS_PER_CLIENT,
    isConnected: () => false,
  });
}

async function storeSizes(): Promise<Sizes> {
  const many = 20_000;
  return {
    "outbox frames": (await heapOf(() => Array.from({ length: 500 }, fullOutbox))) / 500,
    sessions: (await heapOf(() => sessionsOf(many))) / many,
    "texts of both": await bytesPerCountedByte(messagesOf),
    answers: await bytesPerCountedByte(answersOf),
    histories: await bytesPerCountedByte(historiesOf),
    contexts: await bytesPerCountedByte(contextsOf),
    "message ids": (await heapOf(() => idsOf(many))) / many,
    "rate budgets": (await heapOf(() => budgetsOf(many))) / many,
  };
}

/** Memory for each byte that a full store counts. */
async function bytesPerCountedByte(fill: () => Promise<{ readonly counted: number }>): Promise<number> {
  let counted = 0;
  const bytes = await heapOf(async () => {
    const filled = await fill();
    counted = filled.counted;
    return filled;
  });
  return bytes / counted;
}

function fullOutbox(): Outbox {
  const outbox = new Outbox();
  while (outbox.add("error", wideText(255)));
  return outbox;
}

function sessionsOf(count: number): MemorySessionStore {
  const options = { maxSessions: config.MAX_SESSIONS, retentionMs: 86_400_000, ended: () => {} };
  const store = new MemorySessionStore({ ...LIMITS, ...options });
  for (let index = 0; index < count; index++) {
    const hash = randomId() + randomId();
    store.create(hash, { ...anonymous(), ownConversation: `own-${randomId()}` });
    store.detach(hash);
  }
  return store;
}

function messagesOf(): Promise<{ counted: number; texts: readonly string[] }> {
  const chars = config.MAX_MESSAGE_CHARS;
  const texts = Array.from({ length: 100 }, () => wideText(chars));
  return Promise.resolve({ counted: texts.length * chars * 2, texts });
}

async function answersOf(): Promise<{ counted: number; log: MemoryAnswerLog }> {
  const budgetBytes = config.ANSWER_BUDGET_MB * MIB;
  const log = new MemoryAnswerLog({
    ...LIMITS,
    budgetBytes,
    maxAnswerBytes: config.MAX_ANSWER_BYTES,
    retentionMs: config.ANSWER_RETENTION_SECONDS * 1000,
  });
  for (let index = 0; index < budgetBytes / MIB; index++) {
    const answer = randomId();
    const { client, accountKey } = anonymous();
    const meta = { answer, id: answer, client, accountKey, conversation: `own-${answer}`, command: null };
    const writer = log.create(meta);
    while (writer.append(wideText(4000)));
    writer.finish({ type: "error", error: reportOf(new Error("done")) });
  }
  return { counted: log.bytes, log };
}

async function historiesOf(): Promise<{ counted: number; store: MemoryConversationStore }> {
  const store = conversations();
  const turnChars = config.MAX_HISTORY_BYTES / 2 - 1024;
  for (let index = 0; index < (config.HISTORY_BUDGET_MB * MIB) / config.MAX_HISTORY_BYTES; index++) {
    await store.append(anonymous(), "c", [
      { role: "user", content: wideText(turnChars) },
      { role: "assistant", content: wideText(turnChars) },
    ]);
  }
  return { counted: store.historyBytes, store };
}

async function contextsOf(): Promise<{ counted: number; store: MemoryConversationStore }> {
  const store = conversations();
  const chars = config.MAX_MESSAGE_CHARS;
  for (let index = 0; index < (config.ANONYMOUS_CONTEXT_BUDGET_MB * MIB) / chars; index++)
    await store.setContext(anonymous(), wideText(chars));
  return { counted: store.contextBytes, store };
}

async function idsOf(count: number): Promise<MemoryConversationStore> {
  const store = conversations();
  for (let index = 0; index < count; index++) {
    const { client, accountKey } = anonymous();
    const key = { client, accountKey, conversation: "c".repeat(64), id: randomId().padEnd(64, "i") };
    const answer = randomId();
    await store.claim(key, randomId() + randomId(), answer);
    await store.settle(key, answer, config.ANSWER_RETENTION_SECONDS * 1000);
  }
  return store;
}

function budgetsOf(count: number): RateLimits {
  const rates = new RateLimits({
    framesPerSecond: config.MAX_FRAMES_PER_SECOND,
    acksPerSecond: config.MAX_ACKS_PER_SECOND,
    messagesPerMinute: config.MAX_MESSAGES_PER_MINUTE,
    messagesPerMinutePerAddress: count,
    clock,
  });
  for (let index = 0; index < count; index++) rates.takeMessage(anonymous());
  return rates;
}

/** Sizes that need the whole service, with a provider that does not finish. */
async function serviceSizes(): Promise<Sizes> {
  const service = await startService({
    AI_PROVIDER: "echo",
    ECHO_SLOTS: "1",
    ECHO_TOKEN_MS: "60000",
    // All sockets are of one address here. The exact size of one needs more of them than an address may have.
    RATE_LIMITS: "off",
    NODE_OPTIONS: "--inspect=127.0.0.1:0",
  });
  try {
    return await socketSizes(service);
  } finally {
    await service.stop("SIGKILL");
  }
}

async function socketSizes(service: Service): Promise<Sizes> {
  // The first sockets make the heap grow by more than they take.
  const first = await openSockets(service, WARM_UP_SOCKETS);
  for (const socket of first) socket.send('{"type":"history"}');
  await restingBytes(service);
  const start = await restingBytes(service);
  const sockets = await openSockets(service, MEASURED_SOCKETS);
  for (const socket of sockets) socket.send('{"type":"history"}');
  const active = await restingBytes(service);
  for (const socket of sockets) socket.send('{"message":"1","conversation":"c"}');
  const running = await restingBytes(service);
  for (let message = 0; message < WAITING_MESSAGES; message++)
    for (const socket of sockets) socket.send('{"message":"2","conversation":"c"}');
  const waiting = await restingBytes(service);
  for (const socket of [...first, ...sockets]) socket.terminate();
  return {
    sockets: (active - start) / sockets.length,
    "running answers": (running - active) / sockets.length,
    "waiting messages": (waiting - running) / (sockets.length * WAITING_MESSAGES),
  };
}

async function restingBytes({ pid, stderr }: Service): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, REST_MS));
  await collectGarbage(inspectorUrl(stderr()));
  await new Promise((resolve) => setTimeout(resolve, REST_MS));
  return residentBytes(pid);
}

async function openSockets({ url }: Service, count: number): Promise<readonly WebSocket[]> {
  const sockets: WebSocket[] = [];
  while (sockets.length < count) {
    const group = Array.from({ length: Math.min(100, count - sockets.length) }, () => openSocket(url));
    sockets.push(...(await Promise.all(group)));
  }
  return sockets;
}

function openSocket(url: string): Promise<WebSocket> {
  const socket = new WebSocket(`${url}/ws/chat`);
  return new Promise((resolve, reject) => {
    socket.once("message", () => resolve(socket));
    socket.once("error", reject);
  });
}
