import { ServiceError } from "../core/errors.ts";
import { estimatePieceTokens, estimateTokens, OVERHEAD_PER_MESSAGE } from "../core/fit-prompt.ts";
import type { Principal } from "../core/principal.ts";
import { ProviderError } from "./provider-error.ts";
import type { ChatProvider, ChatRequest, Finish, StreamOptions, StreamPart } from "./provider.ts";
import type { Candidate, ProviderName } from "./select-provider.ts";
import type { Payer, Reservation, SpendGuard } from "./spend-guard.ts";

function payerOf({ client, accountKey, authenticated }: Principal): Payer {
  return { client, address: authenticated ? undefined : accountKey };
}

function promptTokens({ system, context, turns, continueFrom, jsonSchema }: ChatRequest): number {
  const schema = jsonSchema ? JSON.stringify(jsonSchema) : "";
  const texts = [system, context ?? "", continueFrom ?? "", schema, ...turns.map(({ content }) => content)];
  return texts.reduce(
    (sum, text) => sum + (text === "" ? 0 : estimateTokens(text) + OVERHEAD_PER_MESSAGE),
    0,
  );
}

/** Tokens used by one call, counted from its parts and never fewer than were delivered. */
class CallUsage {
  readonly #prompt: number;
  /** Tokens of the text as counted by the provider. */
  #counted = 0;
  /** The same, or bytes / 3 if that is more: for calls whose usage is not known. */
  #estimated = 0;
  #undelivered = 0;

  constructor(prompt: number) {
    this.#prompt = prompt;
  }

  add(part: StreamPart): void {
    if (part.type !== "text-delta" && part.type !== "reasoning-delta") return;
    this.#counted += part.tokens;
    this.#estimated += Math.max(part.tokens, estimatePieceTokens(part.text));
  }

  addUndelivered(tokens: number): void {
    this.#undelivered += tokens;
  }

  tokensOf({ usage: { promptTokens, completionTokens, estimated } }: Finish): number {
    return promptTokens + Math.max(completionTokens, estimated === true ? this.#estimated : this.#counted);
  }

  /** @param error the error that ended the call */
  tokensAfter(error: unknown): number {
    const answer = this.#estimated + this.#undelivered;
    if (answer === 0 && error instanceof ProviderError && refused(error)) return 0;
    return this.#prompt + answer;
  }
}

/** Whether the provider rejected the call, which then costs nothing. After a timeout or a cut the prompt is charged. */
function refused({ code, status }: ProviderError): boolean {
  return status !== undefined || (code !== "provider_timeout" && code !== "bad_answer");
}

/**
 * Reserves tokens before each call of a provider and settles them at its end. A provider whose text stays on this
 * machine is returned unchanged. If a limit would be exceeded, the call fails with a ProviderError `spend_limit` before
 * anything is sent.
 */
export function limitSpending(provider: ChatProvider, guard: SpendGuard): ChatProvider {
  if (!provider.remote) return provider;

  function reserve(request: ChatRequest, prompt: number): Reservation {
    const maxTokens = Math.min(prompt + request.maxTokens, provider.describe().contextTokens);
    try {
      return guard.reserve(payerOf(request.principal), maxTokens);
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      const { code, message, clientMessage, retryable, retryAfterMs } = error;
      throw new ProviderError(provider.name, code, message, { clientMessage, retryable, retryAfterMs });
    }
  }

  async function stream(
    request: ChatRequest,
    { signal, onPart }: StreamOptions<StreamPart>,
  ): Promise<Finish> {
    signal.throwIfAborted();
    const prompt = promptTokens(request);
    const reservation = reserve(request, prompt);
    const usage = new CallUsage(Math.min(prompt, provider.describe().contextTokens));
    const countPart = (part: StreamPart): void => {
      usage.add(part);
      onPart(part);
    };
    try {
      const finish = await provider.stream(request, {
        signal,
        onPart: countPart,
        onUndelivered: (tokens) => usage.addUndelivered(tokens),
      });
      reservation.settle(usage.tokensOf(finish));
      return finish;
    } catch (error) {
      reservation.settle(usage.tokensAfter(error));
      throw error;
    }
  }

  return {
    name: provider.name,
    remote: provider.remote,
    stream,
    prepare: (beginning) => provider.prepare?.(beginning),
    describe: () => provider.describe(),
    countTokens: (text, options) => provider.countTokens(text, options),
    health: () => provider.health(),
    ...(provider.onHealthChange && {
      onHealthChange: (listener) => provider.onHealthChange?.(listener) ?? (() => undefined),
    }),
    close: () => provider.close(),
  };
}

/** All providers, with the spend guard applied to those whose text leaves this machine. */
export function limitSpendingOfRemote(
  candidates: Readonly<Record<ProviderName, Candidate>>,
  guard: SpendGuard,
): Readonly<Record<ProviderName, Candidate>> {
  const limited = (candidate: Candidate): Candidate =>
    "reason" in candidate
      ? candidate
      : { ...candidate, start: async () => limitSpending(await candidate.start(), guard) };
  return {
    local: limited(candidates.local),
    openai: limited(candidates.openai),
    huggingface: limited(candidates.huggingface),
    echo: limited(candidates.echo),
  };
}
