import { MemoryConversationStore } from "../../src/stores/memory/memory-conversation-store.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { conversationStoreContract } from "./conversation-store-contract.ts";

conversationStoreContract("memory", (options) => {
  const clock = new VirtualClock();
  const store = new MemoryConversationStore({ ...options, clock });
  return Promise.resolve({
    store,
    historyBytes: () => store.historyBytes,
    contextBytes: () => store.contextBytes,
    pass: (ms: number) => clock.pass(ms),
  });
});
