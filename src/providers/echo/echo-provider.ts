import type { Clock } from "../../core/clock.ts";
import { systemMessage } from "../../core/fit-prompt.ts";
import { OpenAnswer } from "../open-answer.ts";
import { ProviderError } from "../provider-error.ts";
import type {
  ChatProvider,
  ChatRequest,
  Finish,
  ProviderHealth,
  StreamOptions,
  StreamPart,
} from "../provider.ts";
import { echoAnswer, type EchoAnswer } from "./echo-answer.ts";
import { countEchoTokens, tokenStart } from "./echo-tokens.ts";
import { Pacer } from "./pacer.ts";
import { SlotQueue, type Ticket } from "./slot-queue.ts";

export interface EchoOptions {
  /** Milliseconds between tokens; 0: the whole answer is sent at once. */
  readonly tokenMs: number;
  /** Answers at a time; 0: no limit. */
  readonly slots: number;
  /** Maximum number of waiting requests; further ones are `overloaded`. Default 4,096, as for the local provider. */
  readonly queueLimit?: number;
  /** Bytes of an answer; 0: the text of the message. */
  readonly answerBytes: number;
}

const MODEL = "echo";
const CONTEXT_TOKENS = 1_000_000;
const DEFAULT_QUEUE_LIMIT = 4096;
/** Sent with `overloaded`. */
const RETRY_AFTER_MS = 1000;
/** Tokens in one part of an answer that is sent at once: 16 KiB of ASCII. */
const TOKENS_PER_PART = 4096;
/** Parts sent in one turn of the event loop. */
const PARTS_PER_TURN = 4;

function promptTokensOf(request: ChatRequest): number {
  return request.turns.reduce(
    (sum, turn) => sum + countEchoTokens(turn.content),
    countEchoTokens(systemMessage(request.system, request.context)),
  );
}

/**
 * The `echo` provider for load tests. It repeats the message in tokens of four characters, at a configured pace and
 * with a configured number of slots. This exercises everything but the model. Equal requests get equal answers.
 */
class EchoProvider implements ChatProvider {
  readonly name = "echo";
  readonly remote = false;
  readonly continuation = "prefilled";
  readonly #options: EchoOptions;
  readonly #queueLimit: number;
  readonly #queue: SlotQueue | null;
  /** Null if answers are sent at once. */
  readonly #pacer: Pacer | null;
  readonly #running = new Set<OpenAnswer>();
  #closed = false;

  constructor(options: EchoOptions, clock: Clock) {
    this.#options = options;
    this.#pacer = options.tokenMs > 0 ? new Pacer(options.tokenMs, clock) : null;
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
    return this.#closed
      ? { state: "down", reason: "The provider is closed." }
      : { state: "ready", reason: "" };
  }

  close(): Promise<void> {
    this.#closed = true;
    for (const answer of this.#running) answer.fail(this.#closing());
    return Promise.resolve();
  }

  async stream(request: ChatRequest, options: StreamOptions<StreamPart>): Promise<Finish> {
    options.signal.throwIfAborted();
    if (this.#closed) throw this.#closing();
    const ticket = this.#queue === null ? null : (this.#queue.enter(request.principal) ?? this.#full());
    const answer = new OpenAnswer(options);
    this.#running.add(answer);
    this.#answer(request, ticket, answer).catch((error: unknown) => answer.fail(error));
    try {
      return await answer.whole;
    } finally {
      this.#running.delete(answer);
      ticket?.leave();
    }
  }

  async #answer(request: ChatRequest, ticket: Ticket | null, answer: OpenAnswer): Promise<void> {
    if (ticket !== null && ticket.position > 0) await this.#wait(ticket, answer);
    if (ticket?.displaced) this.#full();
    if (answer.ended) return;
    const promptTokens = promptTokensOf(request);
    const { contextTokens } = this.describe();
    const provider = this.name;
    answer.part({ type: "started", provider, model: MODEL, droppedTurns: 0, contextTokens, promptTokens });
    this.#emitAnswer(echoAnswer(request, this.#options.answerBytes), promptTokens, answer);
  }

  async #wait(ticket: Ticket, answer: OpenAnswer): Promise<void> {
    for (; ticket.position > 0 && !ticket.displaced && !answer.ended; await ticket.changed()) {
      answer.part({ type: "queued", position: ticket.position });
    }
  }

  /** Emits the answer: one token every `tokenMs`, or all of it now. */
  #emitAnswer({ text, reason }: EchoAnswer, promptTokens: number, answer: OpenAnswer): void {
    const total = countEchoTokens(text);
    const perPart = this.#pacer === null ? TOKENS_PER_PART : 1;
    let token = 0;
    const step = (): boolean => {
      if (answer.ended) return false;
      if (token < total) {
        const end = Math.min(token + perPart, total);
        const from = tokenStart(text, token);
        const piece = text.slice(from, end === total ? text.length : tokenStart(text, end));
        answer.part({ type: "text-delta", text: piece, tokens: end - token });
        token = end;
      }
      if (token < total) return true;
      answer.finish({ reason, usage: { promptTokens, completionTokens: total, cachedTokens: 0 } });
      return false;
    };
    if (this.#pacer !== null && total > 0) this.#pacer.add(step);
    else emitAtOnce(step);
  }

  #full(): never {
    const message = `The queue of the echo provider is full (${this.#queueLimit} requests).`;
    throw new ProviderError(this.name, "overloaded", message, { retryAfterMs: RETRY_AFTER_MS });
  }

  #closing(): ProviderError {
    return new ProviderError(this.name, "provider_unavailable", "The echo provider is shutting down.");
  }
}

/** Runs `step` until it returns false. A large answer yields to the event loop regularly. */
function emitAtOnce(step: () => boolean): void {
  for (let part = 0; part < PARTS_PER_TURN; part++) if (!step()) return;
  setImmediate(emitAtOnce, step);
}

export function createEchoProvider(options: EchoOptions, clock: Clock): ChatProvider {
  return new EchoProvider(options, clock);
}
