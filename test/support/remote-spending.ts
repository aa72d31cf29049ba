import { systemClock } from "../../src/core/clock.ts";
import { noMetrics } from "../../src/core/metrics.ts";
import type { ChatProvider } from "../../src/providers/provider.ts";
import { SpendGuard } from "../../src/providers/spend-guard.ts";

/** Marks a provider as remote, because the fault server runs on this machine. */
export function asRemote(provider: ChatProvider): ChatProvider {
  return {
    name: provider.name,
    remote: true,
    stream: (request, options) => provider.stream(request, options),
    describe: () => provider.describe(),
    countTokens: (text, options) => provider.countTokens(text, options),
    health: () => provider.health(),
    close: () => provider.close(),
  };
}

/** A spend guard with a limit for all clients together, in tokens. */
export function guardOf(total: number): SpendGuard {
  const limits = { total, client: 0, address: 0 };
  return new SpendGuard({ limits, clock: systemClock, metrics: noMetrics });
}
