import type { Selection } from "../providers/select-provider.ts";
import type { Welcome } from "../session/session-host.ts";

/** What the welcome frame says of the provider, the skipped ones included. */
export function welcomeFor({ provider, skipped, textMayLeave, remedy }: Selection): Welcome {
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
