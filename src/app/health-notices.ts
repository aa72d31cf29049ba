import type { ChatProvider, ProviderHealth } from "../providers/provider.ts";
import type { NoticeFrame } from "../protocol/server-frames.ts";

/**
 * Notifies all clients when a provider becomes unavailable, and when it is available again. A short restart is not
 * announced: answers that it interrupts end with an error or continue, and the next message waits for the restart.
 *
 * @returns a function that stops the notices
 */
export function announceHealth(
  provider: Pick<ChatProvider, "name" | "onHealthChange">,
  notify: (event: NoticeFrame["event"], message: string) => void,
): () => void {
  let degraded = false;
  const onChange = ({ state }: ProviderHealth): void => {
    if ((state === "degraded" || state === "down") && !degraded) {
      degraded = true;
      // The reason is in the log: it may name settings and causes.
      notify("provider_degraded", `The ${provider.name} provider is temporarily unavailable.`);
    } else if (state === "ready" && degraded) {
      degraded = false;
      notify("provider_recovered", `The ${provider.name} provider is available again.`);
    }
  };
  return provider.onHealthChange?.(onChange) ?? (() => {});
}
