import { MemorySessionStore } from "../../src/stores/memory/memory-session-store.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { sessionStoreContract } from "./session-store-contract.ts";

sessionStoreContract("memory", (options) => {
  const clock = new VirtualClock();
  const store = new MemorySessionStore({ ...options, clock });
  return Promise.resolve({ store, pass: (ms: number) => clock.pass(ms) });
});
