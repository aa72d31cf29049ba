import { expect, it } from "vitest";
import { MemoryConversationStore } from "../../../../src/stores/memory/memory-conversation-store.ts";
import { subject } from "../../../contract/conversation-store-subject.ts";
import { VirtualClock } from "../../../support/virtual-clock.ts";

const TTL_MS = 600_000;

function setUp(changes: { historyBudgetBytes?: number; maxConversationsPerClient?: number }) {
  const clock = new VirtualClock();
  const gone: string[] = [];
  const store = new MemoryConversationStore({
    historyBudgetBytes: 100_000,
    maxHistoryBytes: 100_000,
    historyTtlMs: TTL_MS,
    contextBudgetBytes: 1000,
    anonymousContextBudgetBytes: 1000,
    maxConversationsPerClient: 10,
    historyGone: (client, conversation) => gone.push(`${client} ${conversation}`),
    clock,
    ...changes,
  });
  const say = (name: string, conversation: string, text = "Hi") =>
    store.append(subject(name), conversation, [{ role: "user", content: text }]);
  return { clock, gone, say };
}

it("a history that makes room for others is told, and no other one", async () => {
  const { gone, say } = setUp({ historyBudgetBytes: 2000 });
  await say("ada", "a", "x".repeat(600));
  await say("ada", "b", "x".repeat(600));
  expect(gone).toEqual([]);
  await say("bob", "c", "x".repeat(200));
  expect(gone).toEqual(["sub:ada a"]);
});

it("a client's oldest one over its number is told", async () => {
  const { gone, say } = setUp({ maxConversationsPerClient: 2 });
  for (const conversation of ["a", "b", "c"]) await say("ada", conversation);
  expect(gone).toEqual(["sub:ada a"]);
});

it("one that nobody has used for its time to live is told", async () => {
  const { gone, say, clock } = setUp({});
  await say("ada", "a");
  await clock.pass(TTL_MS / 2);
  await say("ada", "b");
  await clock.pass(TTL_MS / 2 + 61_000);
  expect(gone).toEqual(["sub:ada a"]);
});
