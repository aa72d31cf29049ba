import { planChunks, type TickLimits } from "../../src/engine/scheduling/chunk-plan.ts";
import { CostModel } from "../../src/engine/estimates/cost-model.ts";
import { FairQueue, type QueuedJob } from "../../src/engine/scheduling/fair-queue.ts";
import { DecodePauses } from "../../src/engine/scheduling/decode-pauses.ts";
import { chooseSlot, chooseVictim } from "../../src/engine/scheduling/slot-choice.ts";

/** A request of a user; lengths in tokens. */
export interface SimulatedRequest {
  readonly principal: string;
  readonly weight?: number;
  readonly conversation: string;
  readonly promptTokens: number;
  readonly answerTokens: number;
}

/** Record of one request; times in virtual milliseconds. */
export class SimulatedJob implements QueuedJob {
  readonly request: SimulatedRequest;
  readonly arrivedAt: number;
  promptTokens: number;
  startedAt: number | undefined;
  firstTokenAt: number | undefined;
  finishedAt: number | undefined;
  cached = 0;
  generated = 0;
  preemptions = 0;
  readonly background = false;

  constructor(request: SimulatedRequest, arrivedAt: number) {
    this.request = request;
    this.arrivedAt = arrivedAt;
    this.promptTokens = request.promptTokens;
  }

  get accountKey(): string {
    return this.request.principal;
  }

  get client(): string {
    return this.request.principal;
  }

  get weight(): number {
    return this.request.weight ?? 1;
  }

  /** Tokens of prompt and answer so far. Processing the last one draws the next. */
  get length(): number {
    return this.request.promptTokens + this.generated;
  }
}

interface SimulatedSlot {
  readonly id: number;
  job: SimulatedJob | undefined;
  conversation: string;
  kept: number;
  work: number;
  lastUsed: number;
  startedAt: number;
}

/** The time that a machine needs for a step, in milliseconds. */
export interface MachineCost {
  readonly stepMs: number;
  readonly sequenceMs: number;
  readonly promptTokenMs: number;
  /** For each token of a state that is saved or loaded. */
  readonly moveTokenMs: number;
}

export interface SimulatorOptions {
  readonly slots: number;
  readonly limits: TickLimits;
  readonly cost: MachineCost;
  readonly queueLimit: number;
  /** Called when a job has its last token; may submit or schedule requests. */
  readonly finished?: (job: SimulatedJob) => void;
}

export interface SimulatedTick {
  readonly ms: number;
  readonly expectedMs: number;
  readonly generating: number;
  readonly promptTokens: number;
  /** Runs of consecutive ids among the active slots. */
  readonly runs: number;
  /** Slots left empty while a request waited. */
  readonly idleWhileWaiting: number;
}

/**
 * Runs the engine's scheduling on a virtual clock. The options give the true costs, which the scheduler has to learn.
 */
export class EngineSimulator {
  readonly queue: FairQueue<SimulatedJob>;
  /** Served tokens by principal. */
  readonly served = new Map<string, number>();
  now = 0;
  refused = 0;
  maxWaiting = 0;
  tickObserver: (tick: SimulatedTick) => void = () => {};
  readonly #options: SimulatorOptions;
  readonly #learned: CostModel;
  readonly #slots: SimulatedSlot[];
  readonly #pauses: DecodePauses;
  /** Actions to come, in order of time. */
  #events: { readonly at: number; readonly act: () => void }[] = [];
  #sorted = true;

  constructor(options: SimulatorOptions) {
    this.#options = options;
    this.queue = new FairQueue({ requests: options.queueLimit, promptTokens: 1e9, background: 0 });
    this.#learned = new CostModel(options.cost.promptTokenMs * 2);
    this.#pauses = new DecodePauses(options.limits.maxTickMs);
    this.#slots = Array.from({ length: options.slots }, (_, id) => {
      return { id, job: undefined, conversation: "", kept: 0, work: 0, lastUsed: 0, startedAt: 0 };
    });
  }

  at(time: number, act: () => void): void {
    this.#events.push({ at: time, act });
    this.#sorted = false;
  }

  /** @returns undefined when the queue is full. */
  submit(request: SimulatedRequest): SimulatedJob | undefined {
    const job = new SimulatedJob(request, this.now);
    const kept = this.#slots.find(({ conversation }) => conversation === request.conversation)?.kept ?? 0;
    job.promptTokens = Math.max(1, request.promptTokens - kept);
    if (!this.queue.add(job)) {
      this.refused++;
      return undefined;
    }
    this.maxWaiting = Math.max(this.maxWaiting, this.queue.size);
    return job;
  }

  /** Runs until nothing is left to do, or up to a time. */
  run(until = Number.POSITIVE_INFINITY): void {
    while (this.now < until) {
      this.#fire();
      const movedTokens = this.#preempt();
      this.#admit();
      if (this.#slots.some(({ job }) => job)) this.#tick(movedTokens);
      else {
        const next = this.#events.at(-1);
        if (!next) return;
        this.now = Math.max(this.now, next.at);
      }
    }
  }

  #fire(): void {
    // Latest first, so that the next event is taken from the end.
    if (!this.#sorted) this.#events.sort((a, b) => b.at - a.at);
    this.#sorted = true;
    for (let next = this.#events.at(-1); next && next.at <= this.now; next = this.#events.at(-1)) {
      this.#events.pop();
      next.act();
      if (!this.#sorted) this.#events.sort((a, b) => b.at - a.at);
      this.#sorted = true;
    }
  }

  #preempt(): number {
    const slots = this.#slots;
    const { queue } = this;
    const waiter = queue.peek(slots.length);
    if (!waiter || slots.some(({ job }) => !job)) return 0;
    const perToken = (2 * this.#options.cost.moveTokenMs) / this.#learned.promptTokenMs;
    const holdings = slots.map(({ id, job, kept }) => ({
      id,
      accountKey: job?.accountKey ?? "",
      arrivedAt: job?.arrivedAt ?? 0,
      left: (job?.request.answerTokens ?? 0) - (job?.generated ?? 0),
      moveCost: kept * perToken,
      background: false,
    }));
    const id = chooseVictim(holdings, waiter.accountKey, (accountKey) => {
      const standing = queue.standing(accountKey) ?? { counter: 0, waiting: 0, held: 0 };
      return { ...standing, cap: queue.cap(accountKey, slots.length) };
    });
    const slot = id === undefined ? undefined : slots[id];
    if (!slot?.job) return 0;
    const { job, kept } = slot;
    job.preemptions++;
    job.cached = kept;
    job.promptTokens = Math.max(1, job.length - kept);
    slot.job = undefined;
    queue.requeue(job);
    return kept;
  }

  #admit(): void {
    for (;;) {
      const free = this.#slots.filter(({ job }) => !job);
      const job = free.length > 0 ? this.queue.take(this.#slots.length) : undefined;
      if (!job) return;
      const reusable = (slot: SimulatedSlot): number =>
        slot.conversation === job.request.conversation ? Math.min(slot.kept, job.length - 1) : 0;
      const choices = free.map((slot) => ({
        id: slot.id,
        reusable: Math.max(reusable(slot), job.preemptions > 0 ? Math.min(job.cached, job.length - 1) : 0),
        same: slot.conversation === job.request.conversation,
        kept: slot.kept,
        lastUsed: slot.lastUsed,
      }));
      const active = this.#slots.filter((slot) => slot.job).map(({ id }) => id);
      const id = chooseSlot(choices, active, job.length);
      const slot = this.#slots[id] as SimulatedSlot;
      slot.kept = choices.find((choice) => choice.id === id)?.reusable ?? 0;
      slot.conversation = job.request.conversation;
      slot.startedAt = this.now;
      slot.work = job.length - 1 - slot.kept;
      slot.job = job;
      if (job.startedAt === undefined) job.cached = slot.kept;
      job.startedAt ??= this.now;
    }
  }

  #tick(movedTokens: number): void {
    const { cost, limits } = this.#options;
    const busy = this.#slots.filter(({ job }) => job);
    const left = ({ job, kept }: SimulatedSlot): number => (job ? Math.max(0, job.length - 1 - kept) : 0);
    const oldestFirst = busy
      .filter((slot) => left(slot) > 0)
      .toSorted((a, b) => a.startedAt - b.startedAt || a.id - b.id)
      .map((slot) => ({
        id: slot.id,
        remaining: left(slot),
        work: slot.work,
        depth: slot.kept,
        draws: true,
        background: false,
      }));
    const ready = busy.filter((slot) => left(slot) === 0);
    const tokenMs = this.#learned.promptTokenMs;
    const { generating, prompts, stretch } = this.#pauses.next(ready.length, oldestFirst, tokenMs);
    const drawing = generating > 0 ? ready : [];
    const input = {
      generating,
      prefilling: prompts,
      stretch,
      waiting: this.queue.size,
      slots: this.#slots.length,
    };
    const chunks = planChunks(input, this.#learned, limits);
    const promptTokens = chunks.reduce((sum, { tokens }) => sum + tokens, 0);
    const expectedMs = this.#learned.stepMs(drawing.length) + promptTokens * tokenMs;
    const step = drawing.length > 0 ? cost.stepMs + cost.sequenceMs * drawing.length : 0;
    const ms = step + cost.promptTokenMs * promptTokens;
    const parts = chunks.map(({ id, tokens }) => ({ tokens, depth: this.#slots[id]?.kept ?? 0 }));
    this.#pauses.step(ms, this.#learned.stepMs(drawing.length), promptTokens);
    this.#learned.observe(ms, drawing.length, parts);
    this.now += ms + 2 * movedTokens * cost.moveTokenMs;
    this.tickObserver({
      ms,
      expectedMs,
      generating: drawing.length,
      promptTokens,
      runs: busy.filter(({ id }) => !this.#slots[id - 1]?.job).length,
      idleWhileWaiting: Math.min(this.#slots.length - busy.length, this.queue.size),
    });
    for (const { id, tokens } of chunks) this.#process(this.#slots[id] as SimulatedSlot, tokens);
    for (const slot of drawing) this.#draw(slot);
  }

  #process(slot: SimulatedSlot, tokens: number): void {
    slot.kept += tokens;
    if (slot.job) this.#serve(slot.job, tokens);
  }

  #draw(slot: SimulatedSlot): void {
    const { job } = slot;
    if (!job) return;
    slot.kept++;
    // The first draw also processes the last token of the prompt.
    this.#serve(job, job.generated === 0 ? 2 : 1);
    job.generated++;
    job.firstTokenAt ??= this.now;
    if (job.generated < job.request.answerTokens) return;
    job.finishedAt = this.now;
    slot.job = undefined;
    slot.lastUsed = this.now;
    this.queue.done(job);
    this.#options.finished?.(job);
  }

  #serve(job: SimulatedJob, tokens: number): void {
    this.queue.charge(job, tokens);
    this.served.set(job.accountKey, (this.served.get(job.accountKey) ?? 0) + tokens);
  }
}

/** Returns a generator of numbers from 0 to 1 (exclusive), which repeats for the same seed. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Jain's fairness index: 1 when all values are equal, 1/n when one of n values is the whole sum. */
export function jainIndex(values: readonly number[]): number {
  const sum = values.reduce((total, value) => total + value, 0);
  const squares = values.reduce((total, value) => total + value ** 2, 0);
  return sum ** 2 / (values.length * squares);
}
