import type { ProviderChain } from "../providers/chain/provider-chain.ts";
import type { Selection } from "../providers/select-provider.ts";
import type { Readiness } from "../transport/uws/status-routes.ts";

/** Content of /readyz. The service is ready if at least one provider can answer. */
export function readiness(
  { remedy }: Selection,
  chain: Pick<ProviderChain, "name" | "ready" | "status" | "describe"> | null,
  draining: boolean,
): Readiness {
  if (chain === null) return { ready: false, reason: remedy, provider: null, model: null, providers: [] };
  const providers = chain.status();
  const details = { provider: chain.name, model: chain.describe().model, providers };
  if (draining) return { ready: false, reason: "the server is shutting down", ...details };
  const { ready } = chain;
  const reason = ready ? "" : (providers.find((provider) => provider.reason !== "")?.reason ?? "");
  return { ready, reason, ...details };
}
