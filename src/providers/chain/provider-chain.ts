import type { Clock } from "../../core/clock.ts";
import { reportOf, ServiceError } from "../../core/errors.ts";
import { estimateTokens } from "../../core/fit-prompt.ts";
import type { Logger } from "../../core/logger.ts";
import type { Metrics } from "../../core/metrics.ts";
import { ProviderError } from "../provider-error.ts";
import type {
  AnswerPart,
  AnswerSource,
  ChatProvider,
  ChatRequest,
  CountOptions,
  Finish,
  Forgotten,
  PromptBeginning,
  StreamOptions,
} from "../provider.ts";
import { AnswerRun } from "./answer-run.ts";
import { ChainMember, type BreakerSettings, type ChainLink, type MemberStatus } from "./chain-member.ts";
import type { BreakerCall } from "./circuit-breaker.ts";
import type { Deadlines } from "./deadlines.ts";
import { countsAgainstProvider, opensAtOnce, retryWaitMs, type RetryPolicy } from "./failures.ts";
import { abortableDelay } from "./abortable-delay.ts";
import { CrashQuarantine } from "./crash-quarantine.ts";
import { tryOnce, type TryTools } from "./try-once.ts";

export interface ChainOptions {
  /** Providers in the order in which they are tried. At least one of them is started. */
  readonly links: readonly ChainLink[];
  readonly deadlines: Deadlines;
  readonly retry: RetryPolicy;
  readonly breaker: BreakerSettings;
  /**
   * Whether another provider continues an answer that fails in the middle. Otherwise the answer ends with the error.
   */
  readonly continueMidStream: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** 0 ≤ random() < 1; for tests. */
  readonly random?: () => number;
}

/**
 * Combines several providers into one source of answers. An answer that fails before its first token is retried or
 * passed to the next provider. An answer that fails in the middle is continued by the next provider from the text so
 * far. A cancel ends the answer immediately at any point.
 */
export class ProviderChain implements AnswerSource {
  readonly members: readonly ChainMember[];
  readonly #options: ChainOptions;
  readonly #random: () => number;
  readonly #quarantine = new CrashQuarantine();
  readonly #tools: TryTools;
  readonly #first: ChatProvider;

  constructor(options: ChainOptions) {
    this.#options = options;
    this.#random = options.random ?? Math.random;
    this.#tools = { ...options, quarantine: this.#quarantine };
    this.members = options.links.map((link) => new ChainMember(link, options));
    const first = options.links.find(({ provider }) => provider !== null)?.provider;
    if (!first) throw new TypeError("a chain needs at least one started provider");
    this.#first = first;
    options.metrics.gauge(
      "suspects_waiting",
      "Answers queued to be retried one at a time after an engine crash",
      () => this.#quarantine.waiting,
    );
  }

  get name(): ChatProvider["name"] {
    return this.#first.name;
  }

  describe(): { readonly model: string; readonly contextTokens: number } {
    return this.#first.describe();
  }

  /** Counts with the first provider; returns an estimate if that fails. */
  async countTokens(text: string, options: CountOptions): Promise<number> {
    try {
      return await this.#first.countTokens(text, options);
    } catch (error) {
      options.signal.throwIfAborted();
      this.#options.logger.debug({ code: reportOf(error).code }, "token count failed, using an estimate");
      return estimateTokens(text);
    }
  }

  prepare(beginning: PromptBeginning): void {
    this.#first.prepare?.(beginning);
  }

  /** Forwarded to every started provider, since any of them may have answered. */
  forget(target: Forgotten): void {
    for (const { provider } of this.members) provider?.forget?.(target);
  }

  status(): readonly MemberStatus[] {
    return this.members.map((member) => member.status());
  }

  /** Whether at least one provider can answer now. */
  get ready(): boolean {
    return this.members.some((member) => member.ready);
  }

  /**
   * Starts the remote fallbacks, so that a bad key is reported early and no answer waits for the check of a server. The
   * local model takes memory and is therefore loaded on first use.
   */
  async startEarly(): Promise<void> {
    await Promise.all(
      this.members.filter(({ name }) => name !== "local").map((member) => member.startEarly()),
    );
  }

  async close(): Promise<void> {
    await Promise.all(this.members.map((member) => member.close()));
  }

  async stream(request: ChatRequest, options: StreamOptions<AnswerPart>): Promise<Finish> {
    options.signal.throwIfAborted();
    const run = new AnswerRun(request, options, this.members, this.#options.deadlines.totalMs);
    for (let member = run.nextMember(); member !== null; member = run.nextMember()) {
      const finish = await this.#tryMember(member, run);
      if (finish !== null) return finish;
    }
    throw run.error();
  }

  /** Tries one provider, with retries. @returns null if another provider should be tried */
  async #tryMember(member: ChainMember, run: AnswerRun): Promise<Finish | null> {
    for (let tries = 1; ; tries++) {
      const call = member.breaker.enter();
      if (call === null) {
        run.failed(member, member.refusal());
        return null;
      }
      try {
        return await tryOnce({ member, run, call }, this.#tools);
      } catch (thrown) {
        run.throwIfOver();
        const error = this.#recordFailure(thrown, member, run, call);
        const final = call.hasText || !member.breaker.admits || run.tokensLeft <= 0;
        const wait = final ? null : this.#retryWaitMs(error, tries, run);
        if (wait === null) return this.#giveUp(error, member, run);
        this.#options.metrics.providerRetried(member.name);
        await abortableDelay(wait, run.signal, this.#options.clock);
      } finally {
        // Records the end of a cancelled call. No effect if an outcome was recorded above.
        call.left();
      }
    }
  }

  /** Milliseconds before a retry; null if a retry would not help or the time of the answer would be up. */
  #retryWaitMs(error: ServiceError, tries: number, run: AnswerRun): number | null {
    const wait = retryWaitMs(error, tries, this.#options.retry, this.#random);
    return wait !== null && this.#options.clock.now() + wait < run.time.dueAt ? wait : null;
  }

  /**
   * Handles the failure of one provider.
   * @returns the finish if no tokens are left; null if the next one should be tried
   */
  #giveUp(error: ServiceError, member: ChainMember, run: AnswerRun): Finish | null {
    run.failed(member, error);
    const final = this.#finalError(error, run);
    if (final !== null) throw final;
    return run.tokensLeft > 0 ? null : { reason: "length", usage: run.usage };
  }

  /** Converts a thrown value to an error, records it in the circuit breaker and logs it. */
  #recordFailure(thrown: unknown, member: ChainMember, run: AnswerRun, call: BreakerCall): ServiceError {
    const { logger } = this.#options;
    const { name } = member;
    if (!(thrown instanceof ServiceError)) {
      logger.error({ provider: name, err: thrown }, "provider failed unexpectedly");
    }
    const error = providerError(name, thrown);
    const counts = countsAgainstProvider(error);
    if (counts) call.failed(error, opensAtOnce(error));
    else call.left();
    const { code, message } = error;
    const status = error instanceof ProviderError ? error.status : undefined;
    const fields = { provider: name, code, status, midStream: run.hasText, reason: message };
    // Clients receive no details, so a wrong model or address must be in the log for operators.
    logger[counts || code === "bad_request" ? "warn" : "debug"](fields, "provider request failed");
    return error;
  }

  /** The error that ends the answer even if other providers are left; null if another provider may be tried. */
  #finalError(error: ServiceError, run: AnswerRun): ServiceError | null {
    // A refusal of the content is final: another provider must not be used to get around it.
    if (error.code === "content_refused") return error;
    if (this.#options.clock.now() >= run.time.dueAt) return error;
    if (run.hasText && !this.#options.continueMidStream) return error;
    if (!run.crashedTwice) return null;
    const message = "The local engine crashed twice while generating this answer. It is not retried.";
    return new ProviderError("local", "engine_crashed", message, { retryable: false, cause: error });
  }
}

/** The text of any other error may be for operators, so only a ProviderError is passed on as it is. */
function providerError(provider: string, thrown: unknown): ProviderError {
  if (thrown instanceof ProviderError) return thrown;
  if (!(thrown instanceof ServiceError)) return unexpected(provider, thrown);
  const { code, message, retryable, retryAfterMs } = thrown;
  return new ProviderError(provider, code, message, { retryable, retryAfterMs, cause: thrown });
}

function unexpected(provider: string, cause: unknown): ProviderError {
  const message = `The ${provider} provider failed unexpectedly. The error was logged.`;
  return new ProviderError(provider, "internal", message, { cause });
}
