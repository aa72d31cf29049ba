import { systemClock } from "../../src/core/clock.ts";
import { createEchoProvider } from "../../src/providers/echo/echo-provider.ts";
import { chainedProvider } from "../support/chain.ts";
import { providerContract } from "./provider-contract.ts";

const options = { tokenMs: 10, slots: 0, answerBytes: 0 };
/** Enough text for 256 tokens, the limit of the requests. They take 2.5 s. */
const longMessage = "Tell me a long story. ".repeat(50);
const slow = () => undefined;

providerContract("echo", () =>
  Promise.resolve({ provider: createEchoProvider(options, systemClock), longMessage, slow }),
);

providerContract("echo with two slots", () =>
  Promise.resolve({ provider: createEchoProvider({ ...options, slots: 2 }, systemClock), longMessage, slow }),
);

providerContract("a chain of one provider", () =>
  Promise.resolve({ provider: chainedProvider(createEchoProvider(options, systemClock)), longMessage, slow }),
);
