import type { Clock } from "../../core/clock.ts";
import { systemMessage } from "../../core/fit-prompt.ts";
import { ProviderError } from "../provider-error.ts";
import type { ChatProvider, ChatRequest, ProviderHealth, StreamPart } from "../provider.ts";
import { echoAnswer, type EchoAnswer } from "./echo-answer.ts";
import { countEchoTokens, tokenStart } from "./echo-tokens.ts";
import { SlotQueue, type Ticket } from "./slot-queue.ts";

export interface EchoOptions {
  /** Milliseconds between tokens; 0: the whole answer at once. */
  readonly tokenMs: number;
  /** Answers at a time; 0: no limit. */
  readonly slots: number;
  /** Requests that may wait for a slot; the next is `overloaded`. Default: 4,096, as the local back end's. */
  readonly queueLimit?: number;
  /** Bytes of an answer; 0: the message's own text. */
  readonly answerBytes: number;
}

const MODEL = "echo";
const CONTEXT_TOKENS = 1_000_000;
const DEFAULT_QUEUE_LIMIT = 4096;
const RETRY_AFTER_MS = 1000;
/** Tokens in one part of an answer that comes at once: 16 KiB of ASCII. */
const TOKENS_PER_PART = 4096;

/**
 * A pause that can be ended. Each paced answer has a timer of its own: Node keeps timers of equal length in one list,
 * so that setting one costs the same with ten thousand others, and a common beat for all would send their tokens in
 * bursts that no real back end has.
 */
class Pause {
  readonly #clock: Clock;
  #end: (() => void) | undefined;
  #over = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async for(ms: number): Promise<void> {
    if (this.#over) return;
    let stopTimer: (() => void) | undefined;
    await new Promise<void>((resolve) => {
      this.#end = resolve;
      stopTimer = this.#clock.after(ms, resolve);
    });
    stopTimer?.();
  }

  /** Ends this pause and every later one. */
  end(): void {
    this.#over = true;
    this.#end?.();
  }
}

function promptTokensOf(request: ChatRequest): number {
  return request.turns.reduce(
    (sum, turn) => sum + countEchoTokens(turn.content),
    countEchoTokens(systemMessage(request.system, request.context)),
  );
}

/**
 * `echo`: for load tests. It says what it was told, in tokens of four characters, at a set pace and with a set number
 * of slots: everything of the service but the model. The same request gives the same answer.
 */
class EchoProvider implements ChatProvider {
  readonly name = "echo";
  readonly remote = false;
  readonly continuation = "prefilled";
  readonly #options: EchoOptions;
  readonly #clock: Clock;
  readonly #queueLimit: number;
  readonly #queue: SlotQueue | null;
  readonly #running = new Set<() => void>();
  #closed = false;

  constructor(options: EchoOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
    this.#queueLimit = options.queueLimit ?? DEFAULT_QUEUE_LIMIT;
    this.#queue = options.slots > 0 ? new SlotQueue(options.slots, this.#queueLimit, clock) : null;
  }

  describe(): { readonly model: string; readonly contextTokens: number } {
    return { model: MODEL, contextTokens: CONTEXT_TOKENS };
  }

  countTokens(text: string): Promise<number> {
    return Promise.resolve(countEchoTokens(text));
  }

  health(): ProviderHealth {
    return this.#closed ? { state: "down", reason: "It is closed." } : { state: "ready", reason: "" };
  }

  close(): Promise<void> {
    this.#closed = true;
    for (const stop of this.#running) stop();
    return Promise.resolve();
  }

  async *stream(request: ChatRequest, { signal }: { signal: AbortSignal }): AsyncGenerator<StreamPart, void> {
    this.#throwIfStopped(signal);
    const ticket = this.#queue === null ? undefined : (this.#queue.enter() ?? this.#full());
    const pause = new Pause(this.#clock);
    const stop = () => {
      ticket?.leave();
      pause.end();
    };
    this.#running.add(stop);
    signal.addEventListener("abort", stop, { once: true });
    try {
      if (ticket && ticket.position > 0) yield* this.#wait(ticket, signal);
      const promptTokens = promptTokensOf(request);
      yield { type: "started", provider: this.name, model: MODEL, droppedTurns: 0, promptTokens };
      this.#throwIfStopped(signal);
      const answer = echoAnswer(request, this.#options.answerBytes);
      yield* this.#texts(answer, pause, signal);
      const usage = { promptTokens, completionTokens: countEchoTokens(answer.text), cachedTokens: 0 };
      yield { type: "finish", reason: answer.reason, usage };
    } finally {
      signal.removeEventListener("abort", stop);
      this.#running.delete(stop);
      stop();
    }
  }

  async *#wait(ticket: Ticket, signal: AbortSignal): AsyncGenerator<StreamPart, void> {
    for (; ticket.position > 0; await ticket.changed()) {
      this.#throwIfStopped(signal);
      yield { type: "queued", position: ticket.position };
    }
    this.#throwIfStopped(signal);
  }

  async *#texts(answer: EchoAnswer, pause: Pause, signal: AbortSignal): AsyncGenerator<StreamPart, void> {
    const { text } = answer;
    const { tokenMs } = this.#options;
    const total = countEchoTokens(text);
    const perPart = tokenMs > 0 ? 1 : TOKENS_PER_PART;
    const begin = tokenMs > 0 ? this.#clock.now() : 0;
    for (let token = 0; token < total; token += perPart) {
      if (tokenMs > 0) {
        // Due times count from the beginning, so that late timers do not slow the pace.
        const wait = begin + (token + 1) * tokenMs - this.#clock.now();
        if (wait > 0) await pause.for(wait);
        this.#throwIfStopped(signal);
      }
      const end = Math.min(token + perPart, total);
      const piece = text.slice(tokenStart(text, token), end === total ? text.length : tokenStart(text, end));
      yield { type: "text-delta", text: piece, tokens: end - token };
      this.#throwIfStopped(signal);
    }
  }

  #full(): never {
    const message = `${this.#queueLimit} requests wait for the echo back end already.`;
    throw new ProviderError(this.name, "overloaded", message, { retryAfterMs: RETRY_AFTER_MS });
  }

  #throwIfStopped(signal: AbortSignal): void {
    signal.throwIfAborted();
    if (this.#closed) {
      throw new ProviderError(this.name, "provider_unavailable", "The echo back end is being closed.");
    }
  }
}

export function createEchoProvider(options: EchoOptions, clock: Clock): ChatProvider {
  return new EchoProvider(options, clock);
}
