import type { ProviderChain } from "./providers/chain/provider-chain.ts";
import type { Selection } from "./providers/registry.ts";
import type { Greeting } from "./session/session-host.ts";
import type { Readiness } from "./transport/uws/status-routes.ts";

/** What the welcome frame says of the back end, the skipped ones included. */
export function greet({ provider, skipped, textMayLeave, mend }: Selection): Greeting {
  if (provider === null) {
    return { message: `Welcome. Nothing can answer yet. ${mend}`, provider: null, model: null, textMayLeave };
  }
  const { model } = provider.describe();
  const missing = skipped.map(({ name, reason }) => `${name} could not start: ${reason.replace(/\.$/, "")}.`);
  const place = placeOf(provider.name, textMayLeave);
  const message = [
    `Welcome. You are talking to ${model} (${provider.name}).`,
    ...missing,
    place,
    "/help lists the commands.",
  ]
    .filter((part) => part !== "")
    .join(" ");
  return { message, provider: provider.name, model, textMayLeave };
}

function placeOf(provider: string, textMayLeave: boolean): string {
  if (provider === "echo") return "This is the echo back end for load tests: it repeats what you say.";
  return textMayLeave
    ? "Your text may be sent to a service outside this machine."
    : "Your text stays on this machine.";
}

/** What /readyz says: one back end that can answer is enough. */
export function readiness(
  { mend }: Selection,
  chain: Pick<ProviderChain, "name" | "ready" | "status" | "describe"> | null,
  draining: boolean,
): Readiness {
  if (chain === null) return { ready: false, reason: mend, provider: null, model: null, backEnds: [] };
  const backEnds = chain.status();
  const named = { provider: chain.name, model: chain.describe().model, backEnds };
  if (draining) return { ready: false, reason: "the server stops", ...named };
  const { ready } = chain;
  const reason = ready ? "" : (backEnds.find((backEnd) => backEnd.reason !== "")?.reason ?? "");
  return { ready, reason, ...named };
}
