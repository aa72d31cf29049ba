import { afterAll, beforeAll } from "vitest";
import type { EngineSupervisor } from "../../src/engine-host/supervisor.ts";
import { localProvider, tinySupervisor } from "../support/local-engine.ts";
import { providerContract, type ProviderUnderTest } from "./provider-contract.ts";
import { windowContract } from "./provider-window.ts";
import { countOptions } from "../support/chat-request.ts";

let supervisor: EngineSupervisor;

beforeAll(async () => {
  supervisor = await tinySupervisor();
  await supervisor.start();
}, 60_000);

afterAll(() => supervisor.stop());

// test/integration/engine.test.ts checks that the work of a cancelled stream stops, by inspecting the slots.
async function make(): Promise<ProviderUnderTest> {
  const provider = localProvider(supervisor);
  await provider.countTokens("connected", countOptions);
  return { provider, slow: () => undefined };
}

providerContract(
  "local",
  make,
  // The weights are random, so answers do not depend on the meaning of the message.
  { repeatsMessage: false },
);

windowContract("local", make);
