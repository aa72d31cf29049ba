import type { Config } from "../config/schema.ts";
import type { Clock } from "../core/clock.ts";
import type { Logger } from "../core/logger.ts";
import type { Metrics } from "../core/metrics.ts";
import { ProviderChain } from "../providers/chain/provider-chain.ts";
import type { Selection } from "../providers/select-provider.ts";

export interface ChainDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Builds the provider chain from the selection and the settings. Null if no provider could be started. */
export function createChain(
  config: Config,
  { provider, links }: Selection,
  deps: ChainDependencies,
): ProviderChain | null {
  if (provider === null) return null;
  return new ProviderChain({
    links,
    deadlines: {
      firstTokenMs: config.AI_FIRST_TOKEN_SECONDS * 1000,
      gapMs: config.AI_TOKEN_GAP_SECONDS * 1000,
      totalMs: config.AI_TIMEOUT_SECONDS * 1000,
    },
    retry: { retries: config.AI_RETRIES, maxWaitMs: config.AI_RETRY_WAIT_SECONDS * 1000 },
    breaker: { failures: config.AI_BREAKER_FAILURES, openMs: config.AI_BREAKER_SECONDS * 1000 },
    continueMidStream: config.FALLBACK_MID_STREAM === "continue",
    ...deps,
  });
}
