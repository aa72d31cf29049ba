import { NO_PROVIDER_TEXT } from "../core/errors.ts";
import type { Selection } from "../providers/select-provider.ts";
import type { Welcome } from "../session/session-host.ts";

/**
 * Content of the welcome frame: the provider in use. The log and the start banner have the reasons of failed starts.
 */
export function welcomeFor({ provider, textMayLeave }: Selection): Welcome {
  if (provider === null) {
    return {
      message: `Welcome. ${NO_PROVIDER_TEXT}`,
      provider: null,
      model: null,
      textMayLeave,
    };
  }
  const { model } = provider.describe();
  const place = placeOf(provider.name, textMayLeave);
  const message = `Welcome. You are talking to ${model} (${provider.name}). ${place} /help lists the commands.`;
  return { message, provider: provider.name, model, textMayLeave };
}

function placeOf(provider: string, textMayLeave: boolean): string {
  if (provider === "echo") return "This is the echo provider for load tests: it repeats what you say.";
  return textMayLeave
    ? "Your text may be sent to a service outside this machine."
    : "Your text stays on this machine.";
}
