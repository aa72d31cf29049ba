import type { ChatProvider, ProviderHealth } from "../providers/provider.ts";
import type { NoticeFrame } from "../protocol/server-frames.ts";

/**
 * Tells everybody when the provider cannot be relied on for now, and when it is well again. A short restart is no news:
 * whose answer it cost has an error, and the next message waits for it.
 *
 * @returns the way to stop.
 */
export function announceHealth(
  provider: Pick<ChatProvider, "name" | "onHealthChange">,
  notify: (event: NoticeFrame["event"], message: string) => void,
): () => void {
  let degraded = false;
  const told = ({ state, reason }: ProviderHealth): void => {
    if ((state === "degraded" || state === "down") && !degraded) {
      degraded = true;
      notify("provider_degraded", `The ${provider.name} provider cannot answer for now. ${reason}`.trim());
    } else if (state === "ready" && degraded) {
      degraded = false;
      notify("provider_recovered", `The ${provider.name} provider answers again.`);
    }
  };
  return provider.onHealthChange?.(told) ?? (() => {});
}
