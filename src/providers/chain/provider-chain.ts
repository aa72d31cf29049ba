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
  /** In the order in which they are asked; at least one, and at least one of them started. */
  readonly links: readonly ChainLink[];
  readonly deadlines: Deadlines;
  readonly retry: RetryPolicy;
  readonly breaker: BreakerSettings;
  /** Whether another provider goes on where one fails in the middle of an answer; else the answer ends with its error. */
  readonly continueMidStream: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** 0 ≤ random() < 1; for tests. */
  readonly random?: () => number;
}

/**
 * Several providers as one that loses no answer: what fails before its first token is tried again or goes to the next one;
 * what fails in its middle goes on with the next one from the text so far. A cancel ends it at once, wherever it is.
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
    if (!first) throw new TypeError("a chain needs a provider that was started");
    this.#first = first;
    options.metrics.gauge(
      "suspects_waiting",
      "Answers that wait for their own turn after a death of the engine",
      () => this.#quarantine.waiting,
    );
  }

  get name(): ChatProvider["name"] {
    return this.#first.name;
  }

  describe(): { readonly model: string; readonly contextTokens: number } {
    return this.#first.describe();
  }

  /** Of the first provider; an estimate while that cannot count. */
  async countTokens(text: string): Promise<number> {
    try {
      return await this.#first.countTokens(text);
    } catch (error) {
      this.#options.logger.debug({ code: reportOf(error).code }, "tokens are estimated");
      return estimateTokens(text);
    }
  }

  prepare(beginning: PromptBeginning): void {
    this.#first.prepare?.(beginning);
  }

  /** Each provider that was started may have answered. */
  forget(gone: Forgotten): void {
    for (const { provider } of this.members) provider?.forget?.(gone);
  }

  status(): readonly MemberStatus[] {
    return this.members.map((member) => member.status());
  }

  /** Whether a message would find a provider now. */
  get ready(): boolean {
    return this.members.some((member) => member.ready);
  }

  /**
   * Starts the fallbacks that hold no memory here, so that a bad key is known before it matters and no answer waits for
   * the look at a server. A model on this machine is loaded when it is needed.
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
      const finish = await this.#ask(member, run);
      if (finish !== null) return finish;
    }
    throw run.error();
  }

  /** Asks one provider, more than once where that may help. @returns null where the answer is not whole */
  async #ask(member: ChainMember, run: AnswerRun): Promise<Finish | null> {
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
        const error = this.#judge(thrown, member, run, call);
        const wait = call.hasText || !member.breaker.admits ? null : this.#retryWaitMs(error, tries, run);
        if (wait === null) return this.#giveUp(error, member, run);
        this.#options.metrics.providerRetried(member.name);
        await abortableDelay(wait, run.signal, this.#options.clock);
      } finally {
        // Without effect where it was judged: this is the way of a cancel.
        call.left();
      }
    }
  }

  /** Null when this provider should not be asked again: it would not help, or time is up. */
  #retryWaitMs(error: ServiceError, tries: number, run: AnswerRun): number | null {
    const wait = retryWaitMs(error, tries, this.#options.retry, this.#random);
    return wait !== null && this.#options.clock.now() + wait < run.time.dueAt ? wait : null;
  }

  /** One provider gives no whole answer. @returns how it ended where it is whole all the same; null: the next one is asked */
  #giveUp(error: ServiceError, member: ChainMember, run: AnswerRun): Finish | null {
    run.failed(member, error);
    const final = this.#finalError(error, run);
    if (final !== null) throw final;
    return run.tokensLeft > 0 ? null : { reason: "length", usage: run.usage };
  }

  /** Makes an error of what was thrown, tells the breaker and writes it down. */
  #judge(thrown: unknown, member: ChainMember, run: AnswerRun, call: BreakerCall): ServiceError {
    const { logger } = this.#options;
    const { name } = member;
    if (!(thrown instanceof ServiceError)) {
      logger.error({ provider: name, err: thrown }, "a provider failed unexpectedly");
    }
    const error = thrown instanceof ServiceError ? thrown : unexpected(name, thrown);
    const counts = countsAgainstProvider(error);
    if (counts) call.failed(error, opensAtOnce(error));
    else call.left();
    const { code, message } = error;
    const status = error instanceof ProviderError ? error.status : undefined;
    const fields = { provider: name, code, status, midStream: run.hasText, reason: message };
    logger[counts ? "warn" : "debug"](fields, "a provider gave no whole answer");
    return error;
  }

  /** The error that ends the answer, whoever could go on; null where another try is in order. */
  #finalError(error: ServiceError, run: AnswerRun): ServiceError | null {
    // A refused content is an answer; another provider is not asked to get around it.
    if (error.code === "content_refused") return error;
    if (this.#options.clock.now() >= run.time.dueAt) return error;
    if (run.hasText && !this.#options.continueMidStream) return error;
    if (!run.crashedTwice) return null;
    const message = "The local engine died twice while it worked on this answer; it is not tried again.";
    return new ProviderError("local", "engine_crashed", message, { retryable: false, cause: error });
  }
}

function unexpected(provider: string, cause: unknown): ProviderError {
  const message = `The ${provider} provider met an unexpected fault; it was logged.`;
  return new ProviderError(provider, "internal", message, { cause });
}
