import { MemoryConversationStore } from "../../src/stores/memory/memory-conversation-store.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { conversationStoreContract } from "./conversation-store-contract.ts";

conversationStoreContract("memory", (options) => {
  const clock = new VirtualClock();
  const disconnected = new Set<string>();
  const store = new MemoryConversationStore({
    ...options,
    maxMessageIds: 1000,
    isConnected: (client) => !disconnected.has(client),
    clock,
  });
  return Promise.resolve({
    store,
    historyBytes: () => store.historyBytes,
    contextBytes: () => store.contextBytes,
    setConnected(client, connected) {
      if (connected) disconnected.delete(client);
      else disconnected.add(client);
      store.setConnected(client, connected);
    },
    pass: (ms: number) => clock.pass(ms),
  });
});
