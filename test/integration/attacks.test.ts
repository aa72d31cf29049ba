import { describe, expect, it } from "vitest";
import type { Attack } from "../load/attacks/attack.ts";
import { SLACK_BYTES } from "../load/attacks/bounds.ts";
import { attacks } from "../load/attacks/catalog.ts";
import { startGenerator, type AttackCounts } from "../load/attacks/generator.ts";
import type { HonestFigures } from "../load/attacks/honest-chat.ts";
import { HonestChats } from "../load/attacks/honest-chats.ts";
import { startAttackedService } from "../load/attacks/run-attack.ts";
import { residentBytes } from "../bench/harness/resident-memory.ts";

const SECONDS = 2;
const ADDRESSES = 100;
const HONEST = 8;
const MEMORY_SAMPLE_MS = 100;
/** Far more than a test takes on a busy machine. */
const TEST_MS = 180_000;

interface Outcome {
  readonly figures: HonestFigures;
  readonly counts: readonly AttackCounts[];
  readonly peak: number;
  readonly bound: number;
}

/** Runs attacks on one service beside honest chats. Attacks of different lanes run at the same time. */
async function attacked(lanes: readonly (readonly string[])[]): Promise<Outcome> {
  const all = lanes.flat().map((name) => attacks[name] as Attack);
  const settings = Object.assign({}, ...all.map((attack) => attack.settings)) as Record<string, string>;
  const descriptors = all.find((attack) => attack.descriptors !== undefined);
  const service = await startAttackedService({ ...(descriptors ?? (all[0] as Attack)), settings });
  const generators = lanes.map(() => startGenerator());
  const plan = { seconds: SECONDS, addresses: ADDRESSES };
  const before = residentBytes(service.pid);
  let peak = before;
  const timer = setInterval(() => (peak = Math.max(peak, residentBytes(service.pid))), MEMORY_SAMPLE_MS);
  try {
    const chats = new HonestChats(service.port, HONEST, descriptors !== undefined);
    await chats.start();
    const counts = await Promise.all(
      generators.map(async (generator, lane) => {
        const each: AttackCounts[] = [];
        for (const name of lanes[lane] ?? []) each.push(await generator.attack(name, service.port, plan));
        return each;
      }),
    );
    await chats.stop();
    const held = all.reduce((sum, attack) => sum + attack.held(plan), 0);
    return { figures: chats.figures, counts: counts.flat(), peak, bound: before + held + SLACK_BYTES };
  } finally {
    clearInterval(timer);
    for (const generator of generators) generator.stop();
    await service.stop();
  }
}

function expectUnharmed({ figures, counts, peak, bound }: Outcome): void {
  expect(figures.refusals).toEqual([]);
  expect(figures.closes).toEqual([]);
  expect(figures.losses).toEqual([]);
  expect(figures.answers).toBeGreaterThanOrEqual(HONEST);
  expect(figures.resumed).toBeGreaterThan(0);
  expect(peak).toBeLessThanOrEqual(bound);
  // Each attack has taken place.
  for (const { sent, opened } of counts) {
    expect(sent).toBeGreaterThan(0);
    expect(opened).toBeGreaterThan(0);
  }
}

// The tests run at the same time, each with a service of its own: most of their time is waiting.
describe("honest chats lose nothing and are not refused", () => {
  it.concurrent(
    "while connections, HTTP requests and control frames are sent from many addresses",
    async () => {
      expectUnharmed(
        await attacked([
          ["http-unread", "http-slow", "churn", "sessions"],
          ["pings-one", "pings-flood", "fragments", "pongs"],
        ]),
      );
    },
    TEST_MS,
  );

  it.concurrent(
    "while contexts, histories and results are requested, read or not",
    async () => {
      expectUnharmed(
        await attacked([
          ["contexts", "context-budget", "histories", "replays"],
          ["history-read", "history-unread", "unread-one", "unread-many"],
        ]),
      );
    },
    TEST_MS,
  );

  it.concurrent(
    "while other clients keep the queue of the provider full",
    async () => {
      expectUnharmed(await attacked([["queue-one"], ["queue-many"]]));
    },
    TEST_MS,
  );

  it.concurrent(
    "while file descriptors are used up",
    async () => {
      expectUnharmed(await attacked([["descriptors"]]));
    },
    TEST_MS,
  );
});
