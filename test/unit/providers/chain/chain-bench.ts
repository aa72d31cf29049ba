import { silentLogger } from "../../../../src/core/logger.ts";
import { ProviderError, type ProviderErrorOptions } from "../../../../src/providers/provider-error.ts";
import type { ErrorCode } from "../../../../src/core/error-codes.ts";
import type { ChainOptions } from "../../../../src/providers/chain/provider-chain.ts";
import type { AnswerPart, ChatRequest } from "../../../../src/providers/provider.ts";
import { chainOf } from "../../../support/chain.ts";
import { chatRequest } from "../../../support/chat-request.ts";
import { CountingMetrics } from "../../../support/counting-metrics.ts";
import { ScriptedProvider, type ScriptedProviderOptions } from "../../../support/scripted-provider.ts";
import { VirtualClock } from "../../../support/virtual-clock.ts";
import { partsOf, type FinishPart } from "../../../support/parts-of.ts";

export type Name = "local" | "openai" | "huggingface";

export function failure(name: string, code: ErrorCode, options: ProviderErrorOptions = {}): ProviderError {
  return new ProviderError(name, code, `${name}: ${code}.`, options);
}

/** One answer being read. */
export interface Reading {
  readonly parts: (AnswerPart | FinishPart)[];
  /** The error that ended the answer; undefined while it runs, null if it is complete. */
  ended: unknown;
  readonly controller: AbortController;
  text(): string;
  types(): string[];
  fallbacks(): object[];
}

/** A chain of scripted providers on virtual time. */
export function chainBench(
  providers: readonly (Name | ({ name: Name } & ScriptedProviderOptions))[],
  changes: Partial<ChainOptions> = {},
) {
  const clock = new VirtualClock();
  const metrics = new CountingMetrics();
  const scripted = providers.map(
    (each) => new ScriptedProvider(typeof each === "string" ? { name: each } : each),
  );
  const chain = chainOf(scripted, { clock, metrics, logger: silentLogger, ...changes });
  const ask = (request: Partial<ChatRequest> = {}): Reading => {
    const parts: (AnswerPart | FinishPart)[] = [];
    const controller = new AbortController();
    const of = <T extends AnswerPart["type"]>(type: T) =>
      parts.filter((part): part is Extract<AnswerPart, { type: T }> => part.type === type);
    const reading: Reading = {
      parts,
      ended: undefined,
      controller,
      text: () =>
        of("text-delta")
          .map(({ text }) => text)
          .join(""),
      types: () => parts.map(({ type }) => type),
      fallbacks: () => of("fallback"),
    };
    const read = async (): Promise<void> => {
      try {
        for await (const part of partsOf<AnswerPart>(chain, chatRequest("Hi", request), {
          signal: controller.signal,
        })) {
          parts.push(part);
        }
        reading.ended = null;
      } catch (error) {
        reading.ended = error;
      }
    };
    void read();
    return reading;
  };
  const providerAt = (index: number): ScriptedProvider => scripted[index] as ScriptedProvider;
  return { clock, metrics, chain, ask, providerAt };
}
