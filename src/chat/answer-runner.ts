import { ServiceError, reportOf } from "../core/errors.ts";
import type { AnswerOutcome } from "./answer-log.ts";
import type { ChatServiceOptions } from "./chat-options.ts";
import { StopReason } from "./generation.ts";
import { respond } from "./respond.ts";
import type { RunningAnswer } from "./running-answer.ts";
import type { RunningAnswers } from "./running-answers.ts";

/** Duration of a lease in milliseconds, longer than any answer takes: a lease lapses only if its process crashes. */
const LEASE_MS = 600_000;

/** Produces the outcome of an answer and finishes its log, its message id and its entry in the list of running ones. */
export class AnswerRunner {
  readonly #options: ChatServiceOptions;
  readonly #running: RunningAnswers;

  constructor(options: ChatServiceOptions, running: RunningAnswers) {
    this.#options = options;
    this.#running = running;
  }

  /** Generates the answer and finishes it, also after a failure. Never rejects. */
  async run(running: RunningAnswer): Promise<void> {
    running.begin();
    const { store, logger } = this.#options;
    const { owner, conversation } = running.submission;
    let outcome: AnswerOutcome;
    let release: (() => void) | undefined;
    try {
      release = await store.lease(owner.client, conversation, LEASE_MS);
      running.signal.throwIfAborted();
      outcome = await respond(running, this.#options);
    } catch (error) {
      outcome = this.#outcomeOf(error, running);
      if (outcome.type === "error" && !(error instanceof ServiceError)) {
        logger.error({ err: error, answer: running.reader.meta.answer }, "answer failed unexpectedly");
      }
    }
    await this.#finish(running, outcome);
    release?.();
  }

  /** Stops an answer that has not begun and finishes it without text. */
  async drop(waiting: RunningAnswer, reason: StopReason): Promise<void> {
    waiting.stop(reason);
    await this.#finish(waiting, this.#outcomeOf(waiting.signal.reason, waiting));
  }

  #outcomeOf(error: unknown, running: RunningAnswer): AnswerOutcome {
    if (!(error instanceof StopReason)) return { type: "error", error: reportOf(error) };
    const { command } = running.reader.meta;
    const { finishReason } = error;
    if (command !== null) {
      return { type: "command", command, result: { status: "error", message: finishReason }, finishReason };
    }
    const { provider, clock } = this.#options;
    const totalMs = Math.round(clock.now() - running.arrivedAt);
    const { model, contextTokens } = provider?.describe() ?? { model: "none", contextTokens: 0 };
    return {
      type: "message",
      finishReason,
      usage: { promptTokens: 0, completionTokens: 0, cachedTokens: 0 },
      context: { tokens: 0, limit: contextTokens },
      provider: provider?.name ?? "none",
      model,
      timings: { queueMs: totalMs, firstTokenMs: null, totalMs },
    };
  }

  async #finish(running: RunningAnswer, outcome: AnswerOutcome): Promise<void> {
    const { store, settings, logger } = this.#options;
    running.close();
    if (running.key !== null) {
      const ttlMs = keepsId(outcome) ? settings.answerRetentionMs : 0;
      try {
        await store.settle(running.key, running.reader.meta.answer, ttlMs);
      } catch (error) {
        logger.error({ err: error }, "message id could not be settled");
      }
    }
    this.#running.delete(running);
    running.writer.finish(outcome);
  }
}

/** Whether the message id of an answer stays taken after its end. */
function keepsId(outcome: AnswerOutcome): boolean {
  if (outcome.type === "error") return false;
  return outcome.finishReason !== "cancelled" && outcome.finishReason !== "abandoned";
}
