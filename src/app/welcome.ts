import type { Selection } from "../providers/select-provider.ts";
import type { Welcome } from "../session/session-host.ts";

/** Content of the welcome frame: the provider in use, and the providers that could not start. */
export function welcomeFor({ provider, skipped, textMayLeave, remedy }: Selection): Welcome {
  if (provider === null) {
    return {
      message: `Welcome. No provider is available yet. ${remedy}`,
      provider: null,
      model: null,
      textMayLeave,
    };
  }
  const { model } = provider.describe();
  const failed = skipped.map(({ name, reason }) => `${name} could not start: ${reason.replace(/\.$/, "")}.`);
  const place = placeOf(provider.name, textMayLeave);
  const message = [
    `Welcome. You are talking to ${model} (${provider.name}).`,
    ...failed,
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
