import { ServiceError } from "../../core/errors.ts";
import { WaitingRoom } from "../../core/queues/waiting-room.ts";
import { WaitingWeights } from "../../core/queues/waiting-weights.ts";
import type {
  CountRequest,
  EngineRequest,
  PrepareRequest,
  RequestEvents,
  WorkOwner,
} from "../../engine-wire/requests.ts";
import { RequestState } from "../generation/request-state.ts";
import type { Detokenize } from "../generation/whole-characters.ts";
import { boundedWeight, type PreparedRequest } from "../ports.ts";
import { WorkQueue, type LoopPace, type Work } from "../scheduling/work-queue.ts";
import type { PendingCount, PendingRequest, PendingWork } from "./gateway-connection.ts";

/** Prompt tokens of one unit when it is found out whose requests take the most of them. */
const TOKENS_PER_UNIT = 1024;

/** Work that yields the size of each piece in characters. */
type Pieces<T> = Generator<number, T, void>;

/** The tokenizer's side of a request, in pieces; see `PromptBuilder`. */
export interface Prompts {
  prepare(request: EngineRequest): Pieces<PreparedRequest>;
  withGrammar(prepared: PreparedRequest, request: EngineRequest): Promise<PreparedRequest>;
  prepareContext(request: PrepareRequest): Pieces<PreparedRequest | undefined>;
  countTokens(text: string): Pieces<number>;
}

/** The loop, as the intake uses it. */
export interface IntakeLoop extends LoopPace {
  /** @returns false when the prompt tokens of the waiting requests leave no room for it */
  submit(request: RequestState): boolean;
  cancel(request: RequestState): void;
  overloaded(): ServiceError;
}

export interface IntakeOptions {
  readonly loop: IntakeLoop;
  readonly prompts: Prompts;
  readonly detokenize: Detokenize;
  /** Requests and counts that may wait. */
  readonly queueLimit: number;
  /** Contexts that may wait to be processed. */
  readonly maxContexts: number;
  /** Current time in milliseconds. */
  readonly now: () => number;
  /** Calls back in a later turn of the event loop. */
  readonly defer: (turn: () => void) => void;
  /** Called with faults that are no errors of a request; they contain no text of users. */
  readonly onFault: (error: unknown) => void;
}

/**
 * Admits requests, counts and contexts, has their texts tokenized in fair shares beside the native steps, and submits
 * the prepared requests to the loop.
 */
export class Intake {
  /** Pieces of text tokenized so far. */
  pieces = 0;
  readonly #options: IntakeOptions;
  readonly #room: WaitingRoom<PendingWork>;
  /** Prompt tokens of the requests that wait for a slot. */
  readonly #promptUnits = new WaitingWeights<PendingWork>();
  readonly #work: WorkQueue;
  readonly #ofPending = new Map<PendingWork, Work>();
  /** Background jobs that process a context, by client. */
  readonly #contexts = new Map<string, { readonly work: Work; state: RequestState | undefined }>();
  /** Waiting requests that lost their place to another principal, since the start. */
  displaced = 0;

  constructor(options: IntakeOptions) {
    this.#options = options;
    const { loop, queueLimit, maxContexts, now, defer } = options;
    this.#room = new WaitingRoom(queueLimit);
    this.#work = new WorkQueue({ pace: loop, maxBackground: maxContexts, now, defer });
  }

  /** Requests and counts that wait for the tokenizer. */
  get size(): number {
    return this.#ofPending.size;
  }

  /** Continues to tokenize. To be called after each step, and when the loop becomes idle. */
  proceed(): void {
    this.#work.proceed();
  }

  /** Accepts a request, or refuses it or another one with `overloaded`. */
  submit(pending: PendingRequest, request: EngineRequest): void {
    if (!this.#enter(pending)) return;
    const pieces = this.#options.prompts.prepare(request);
    this.#tokenize(pending, request, pieces, sizeOf(request), (prepared) => {
      void this.#start(pending, request, prepared);
    });
  }

  /** Accepts a text to count, like a request. */
  count(pending: PendingCount, request: CountRequest): void {
    if (!this.#enter(pending)) return;
    const { text } = request;
    this.#tokenize(pending, request, this.#options.prompts.countTokens(text), text.length, (tokens) => {
      this.#room.leave(pending);
      pending.counted(tokens);
    });
  }

  /** Cancels waiting or running work. It emits no further events. */
  cancel(pending: PendingWork): void {
    pending.cancelled = true;
    this.#leave(pending);
    const work = this.#ofPending.get(pending);
    if (work) this.#work.cancel(work);
    this.#ofPending.delete(pending);
    if ("state" in pending && pending.state) this.#options.loop.cancel(pending.state);
  }

  /** Queues a background job that processes a client's context. It replaces an earlier job of this client. */
  prepareContext(request: PrepareRequest): void {
    const { prompts, loop, onFault } = this.#options;
    this.forgetContext(request.client);
    const size = request.system.length + (request.context?.length ?? 0);
    const work = this.#workOf(request, size, prompts.prepareContext(request), true, {
      done: (prepared) => {
        if (!prepared) return onEnd();
        const state = this.#stateOf(prepared, backgroundEvents(onEnd));
        job.state = state;
        if (!loop.submit(state)) onEnd();
      },
      // A ServiceError is ignored: without this job, the context is processed with the client's next request.
      failed: (error) => {
        if (!(error instanceof ServiceError)) onFault(error);
        onEnd();
      },
    });
    const job: { readonly work: Work; state: RequestState | undefined } = { work, state: undefined };
    const onEnd = (): void => {
      if (this.#contexts.get(request.client) === job) this.#contexts.delete(request.client);
    };
    this.#contexts.set(request.client, job);
    if (!this.#work.add(work)) onEnd();
  }

  /** Drops the background job of a client. */
  forgetContext(client: string): void {
    const job = this.#contexts.get(client);
    if (!job) return;
    this.#contexts.delete(client);
    this.#work.cancel(job.work);
    if (job.state) this.#options.loop.cancel(job.state);
  }

  /** @returns whether the request has a place. One that loses its place ends with `overloaded`. */
  #enter(pending: PendingWork): boolean {
    const loser = this.#room.enter(pending);
    if (loser) this.#refuse(loser, loser !== pending);
    return loser !== pending;
  }

  #leave(pending: PendingWork): void {
    this.#room.leave(pending);
    this.#promptUnits.remove(pending);
  }

  #refuse(loser: PendingWork, displaced: boolean): void {
    if (displaced) this.displaced++;
    this.cancel(loser);
    loser.failed(this.#options.loop.overloaded());
  }

  async #start(pending: PendingRequest, request: EngineRequest, prepared: PreparedRequest): Promise<void> {
    const { prompts, loop } = this.#options;
    try {
      const complete = await prompts.withGrammar(prepared, request);
      if (pending.cancelled) return;
      pending.state = this.#stateOf(complete, this.#leavingAtStart(pending), pending.arrivedAt);
      this.#promptUnits.add(pending, Math.ceil(Math.max(1, prepared.tokens.length) / TOKENS_PER_UNIT));
      while (!loop.submit(pending.state)) {
        // The prompt tokens of all waiting requests are bounded too. One long prompt can take the room of many others.
        const loser = this.#promptUnits.yieldTo(pending);
        this.#refuse(loser, loser !== pending);
        if (loser === pending) return;
      }
    } catch (error) {
      this.#fail(pending, error);
    }
  }

  /** Events of a request that release its place when it gets a slot or fails. */
  #leavingAtStart(pending: PendingRequest): RequestEvents {
    const { events } = pending;
    return {
      queued: (position, etaMs) => events.queued(position, etaMs),
      started: (promptTokens, cachedTokens, droppedTurns) => {
        this.#leave(pending);
        if (!pending.cancelled) events.started(promptTokens, cachedTokens, droppedTurns);
      },
      progress: (processed, total) => events.progress(processed, total),
      reasoning: (text, tokens) => events.reasoning(text, tokens),
      delta: (text, tokens) => events.delta(text, tokens),
      finished: (reason, usage) => events.finished(reason, usage),
      failed: (error) => {
        this.#leave(pending);
        events.failed(error);
      },
    };
  }

  #stateOf(prepared: PreparedRequest, events: RequestEvents, arrivedAt?: number): RequestState {
    return new RequestState(prepared, events, this.#options.detokenize, arrivedAt ?? this.#options.now());
  }

  #tokenize<T>(
    pending: PendingWork,
    owner: WorkOwner,
    pieces: Pieces<T>,
    size: number,
    done: (result: T) => void,
  ): void {
    const work = this.#workOf(owner, size, pieces, false, {
      done: (result) => {
        this.#ofPending.delete(pending);
        done(result);
      },
      failed: (error) => {
        this.#ofPending.delete(pending);
        this.#fail(pending, error);
      },
    });
    this.#ofPending.set(pending, work);
    this.#work.add(work);
  }

  #fail(pending: PendingWork, error: unknown): void {
    this.#leave(pending);
    if (!(error instanceof ServiceError)) this.#options.onFault(error);
    if (!pending.cancelled) pending.failed(error);
  }

  #workOf<T>(
    { accountKey, client, weight = 1 }: WorkOwner,
    size: number,
    pieces: Pieces<T>,
    background: boolean,
    ends: { done(result: T): void; failed(error: unknown): void },
  ): Work {
    const next = (): number | undefined => {
      this.pieces++;
      try {
        const { done, value } = pieces.next();
        if (!done) return value;
        ends.done(value);
      } catch (error) {
        ends.failed(error);
      }
      return undefined;
    };
    return { accountKey, client, weight: boundedWeight(weight), size, background, next };
  }
}

/** Characters of a request's texts. */
function sizeOf({ system, context, turns, continueFrom }: EngineRequest): number {
  const rest = system.length + (context?.length ?? 0) + (continueFrom?.length ?? 0);
  return turns.reduce((sum, { content }) => sum + content.length, rest);
}

/** Events of a background job, of which only the end matters. */
function backgroundEvents(onEnd: () => void): RequestEvents {
  const nothing = (): void => {};
  return {
    queued: nothing,
    started: nothing,
    progress: nothing,
    reasoning: nothing,
    delta: nothing,
    finished: onEnd,
    failed: onEnd,
  };
}
