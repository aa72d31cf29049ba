import type { ProviderChain } from "./providers/chain/provider-chain.ts";
import type { Selection } from "./providers/select-provider.ts";
import type { Greeting } from "./session/session-host.ts";
import type { Readiness } from "./transport/uws/status-routes.ts";

/** What the welcome frame says of the provider, the skipped ones included. */
export function greet({ provider, skipped, textMayLeave, remedy }: Selection): Greeting {
  if (provider === null) {
    return {
      message: `Welcome. Nothing can answer yet. ${remedy}`,
      provider: null,
      model: null,
      textMayLeave,
    };
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
  if (provider === "echo") return "This is the echo provider for load tests: it repeats what you say.";
  return textMayLeave
    ? "Your text may be sent to a service outside this machine."
    : "Your text stays on this machine.";
}

/** What /readyz says: one provider that can answer is enough. */
export function readiness(
  { remedy }: Selection,
  chain: Pick<ProviderChain, "name" | "ready" | "status" | "describe"> | null,
  draining: boolean,
): Readiness {
  if (chain === null) return { ready: false, reason: remedy, provider: null, model: null, backEnds: [] };
  const backEnds = chain.status();
  const named = { provider: chain.name, model: chain.describe().model, backEnds };
  if (draining) return { ready: false, reason: "the server stops", ...named };
  const { ready } = chain;
  const reason = ready ? "" : (backEnds.find((provider) => provider.reason !== "")?.reason ?? "");
  return { ready, reason, ...named };
}
