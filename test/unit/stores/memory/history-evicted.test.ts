import { expect, it } from "vitest";
import { MemoryConversationStore } from "../../../../src/stores/memory/memory-conversation-store.ts";
import { subject } from "../../../contract/conversation-store-subject.ts";
import { VirtualClock } from "../../../support/virtual-clock.ts";

const TTL_MS = 600_000;

function setUp(changes: { historyBudgetBytes?: number; maxConversationsPerClient?: number }) {
  const clock = new VirtualClock();
  const evicted: string[] = [];
  const store = new MemoryConversationStore({
    historyBudgetBytes: 100_000,
    maxHistoryBytes: 100_000,
    historyTtlMs: TTL_MS,
    contextBudgetBytes: 1000,
    anonymousContextBudgetBytes: 1000,
    maxConversationsPerClient: 10,
    maxMessageIds: 100,
    reservedShare: 0,
    isConnected: () => true,
    historyEvicted: (client, conversation) => evicted.push(`${client} ${conversation}`),
    clock,
    ...changes,
  });
  const append = (name: string, conversation: string, text = "Hi") =>
    store.append(subject(name), conversation, [{ role: "user", content: text }]);
  return { clock, evicted, append };
}

it("MemoryConversationStore reports a history that is evicted for lack of memory, and no other", async () => {
  const { evicted, append } = setUp({ historyBudgetBytes: 3000 });
  await append("ada", "a", "x".repeat(600));
  await append("ada", "b", "x".repeat(600));
  expect(evicted).toEqual([]);
  await append("bob", "c", "x".repeat(400));
  expect(evicted).toEqual(["sub:ada a"]);
});

it("MemoryConversationStore reports the least recently used history of a client over its limit", async () => {
  const { evicted, append } = setUp({ maxConversationsPerClient: 2 });
  for (const conversation of ["a", "b", "c"]) await append("ada", conversation);
  expect(evicted).toEqual(["sub:ada a"]);
});

it("MemoryConversationStore reports a history that expired", async () => {
  const { evicted, append, clock } = setUp({});
  await append("ada", "a");
  await clock.pass(TTL_MS / 2);
  await append("ada", "b");
  await clock.pass(TTL_MS / 2 + 61_000);
  expect(evicted).toEqual(["sub:ada a"]);
});
