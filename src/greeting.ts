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

/** What /readyz says. */
export function readiness({ provider, mend }: Selection, draining: boolean): Readiness {
  if (provider === null) return { ready: false, reason: mend, provider: null, model: null };
  const { state, reason } = provider.health();
  const named = { provider: provider.name, model: provider.describe().model };
  if (draining) return { ready: false, reason: "the server stops", ...named };
  return { ready: state === "ready", reason, ...named };
}
