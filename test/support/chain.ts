import { systemClock } from "../../src/core/clock.ts";
import { silentLogger } from "../../src/core/logger.ts";
import { noMetrics } from "../../src/core/metrics.ts";
import { ProviderChain, type ChainOptions } from "../../src/providers/chain/provider-chain.ts";
import type { ChainLink } from "../../src/providers/chain/chain-member.ts";
import type { ChatProvider, StreamOptions, AnswerPart } from "../../src/providers/provider.ts";

/** A link to a provider that is already running. */
export function linkTo(provider: ChatProvider): ChainLink {
  return { name: provider.name, remote: provider.remote, provider, start: () => Promise.resolve(provider) };
}

/**
 * A chain of running providers. Defaults: deadlines of a minute, no retries, a breaker that opens after 1,000 failures.
 */
export function chainOf(
  providers: readonly ChatProvider[],
  changes: Partial<ChainOptions> = {},
): ProviderChain {
  return new ProviderChain({
    links: providers.map(linkTo),
    deadlines: { firstTokenMs: 60_000, gapMs: 60_000, totalMs: 60_000 },
    retry: { retries: 0, maxWaitMs: 2000 },
    breaker: { failures: 1000, openMs: 10_000 },
    continueMidStream: true,
    clock: systemClock,
    logger: silentLogger,
    metrics: noMetrics,
    random: () => 0.5,
    ...changes,
  });
}

/** A chain of one provider in the form of a provider, for the contract suite of that port. */
export function chainedProvider(provider: ChatProvider, changes: Partial<ChainOptions> = {}): ChatProvider {
  const chain = chainOf([provider], changes);
  return {
    name: provider.name,
    remote: provider.remote,
    // A single provider without retries never emits a fallback part.
    stream: (request, options) => chain.stream(request, options as StreamOptions<AnswerPart>),
    describe: () => chain.describe(),
    countTokens: (text, options) => chain.countTokens(text, options),
    health: () => provider.health(),
    close: () => chain.close(),
  };
}
