import type { ProviderChain } from "../providers/chain/provider-chain.ts";
import type { Selection } from "../providers/select-provider.ts";
import type { Readiness } from "../transport/uws/status-routes.ts";

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
