/**
 * The decisions of the engine's loop, as pure functions: what a step does and which slot a request gets. Times are in
 * milliseconds, lengths in tokens.
 */

/** A chunk is never shorter, save for the rest of a prompt: smaller ones cost nearly as much and prompts must not starve. */
export const LEAST_CHUNK = 16;

/** A prompt is begun behind another only if it fits, or if this share of the step would stay unused. */
const WORTH_A_PART = 0.5;

/** With prompts of this share of the slots behind the first one, the aim has loosened as far as it may. */
const FULL_PRESSURE_SHARE = 0.25;

export interface TickLimits {
  /** No step is longer, as far as the learned cost can tell. */
  readonly maxTickMs: number;
  /** Aim for a step while somebody generates and nobody waits. */
  readonly itlTargetMs: number;
  /** Prompt tokens that fit into a batch beside one token of every slot. */
  readonly batchTokens: number;
}

export interface StepCost {
  /** What a prompt token adds with so many tokens before it. */
  promptTokenMsAt(depth: number): number;
  stepMs(generating: number): number;
}

export interface Prefilling {
  readonly id: number;
  /** Tokens that may be processed now; ≥ 1. */
  readonly remaining: number;
  /** Tokens before them. */
  readonly depth: number;
}

export interface TickInput {
  /** Slots that generate. */
  readonly generating: number;
  /** Slots with prompt tokens left, in the order of service. */
  readonly prefilling: readonly Prefilling[];
  /** Requests without a slot. */
  readonly waiting: number;
  readonly slots: number;
}

export interface Chunk {
  readonly id: number;
  readonly tokens: number;
}

/**
 * The prompt chunks of one step: the first prompt's, and as many whole ones more as the time allows. Every sequence of a
 * native pass has the same number of tokens, so each other length is a pass of its own.
 */
export function planChunks(input: TickInput, cost: StepCost, limits: TickLimits): Chunk[] {
  const [first, ...others] = input.prefilling;
  if (!first) return [];
  const base = cost.stepMs(input.generating);
  const priceOf = ({ remaining, depth }: Prefilling): number =>
    cost.promptTokenMsAt(depth + Math.min(remaining, limits.batchTokens) / 2);
  const affordable = (ms: number, price: number): number =>
    Math.min(limits.batchTokens, Math.max(0, Math.floor((ms - base) / price)));
  const target = targetMs(input, limits);
  const price = priceOf(first);
  const most = affordable(limits.maxTickMs, price);
  const aimed = Math.min(affordable(target, price), most);
  // A prompt that is nearly done in this step is finished in it: one pass instead of two.
  const whole = first.remaining <= most && first.remaining <= aimed * 2;
  const length = whole ? first.remaining : Math.min(first.remaining, Math.max(aimed, LEAST_CHUNK));
  const chunks: Chunk[] = [{ id: first.id, tokens: length }];
  let room = limits.batchTokens - length;
  let leftMs = target - base - length * price;
  for (const prompt of others) {
    const each = priceOf(prompt);
    const tokens = Math.min(prompt.remaining, room, Math.floor(leftMs / each));
    // Parts of prompts have lengths of their own, and each other length is another pass.
    const worthwhile = Math.max(LEAST_CHUNK, affordable(target, each) * WORTH_A_PART);
    if (tokens < 1 || (tokens < prompt.remaining && tokens < worthwhile)) break;
    chunks.push({ id: prompt.id, tokens });
    room -= tokens;
    leftMs -= tokens * each;
  }
  return chunks;
}

/**
 * The aim between two tokens of those who generate loosens as others wait: prompt tokens in small chunks cost more,
 * and with a fixed aim the queue would grow without end.
 */
function targetMs(input: TickInput, limits: TickLimits): number {
  if (input.generating === 0) return limits.maxTickMs;
  const least = Math.min(limits.itlTargetMs, limits.maxTickMs);
  const others = input.waiting + input.prefilling.length - 1;
  const pressure = Math.min(1, others / Math.max(1, input.slots * FULL_PRESSURE_SHARE));
  return least + (limits.maxTickMs - least) * pressure;
}

export interface SlotChoice {
  readonly id: number;
  /** Prompt tokens that would not be processed again in this slot. */
  readonly reusable: number;
  /** Whether the slot keeps the KV of the same conversation. */
  readonly same: boolean;
  /** Tokens it keeps. */
  readonly kept: number;
  /** When it was last used; any rising number. */
  readonly lastUsed: number;
}

// What one more run of ids costs, in prompt tokens: it makes each later step 1–2 % longer.
const RUN_COST = 4;
// What it costs to drop the most recently used of the conversations kept by free slots, in prompt tokens.
const EVICTION_COST = 24;

/**
 * The free slot with the least cost: tokens to process, runs of active ids (a gap splits the native batch), and the
 * conversation that would lose its KV, the least recently used one first.
 *
 * @throws RangeError when no slot is free.
 */
export function chooseSlot(
  free: readonly SlotChoice[],
  active: readonly number[],
  promptTokens: number,
): number {
  const taken = new Set(active);
  const byAge = free.filter((slot) => slot.kept > 0).toSorted((a, b) => a.lastUsed - b.lastUsed);
  const costOf = (slot: SlotChoice): number => {
    const loses = slot.kept > 0 && !slot.same;
    const eviction = loses ? (EVICTION_COST * (byAge.indexOf(slot) + 1)) / byAge.length : 0;
    return promptTokens - slot.reusable + RUN_COST * addedRuns(slot.id, taken) + eviction;
  };
  let best: SlotChoice | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const slot of free) {
    const cost = costOf(slot);
    if (cost < least || (cost === least && best && slot.id < best.id)) {
      best = slot;
      least = cost;
    }
  }
  if (!best) throw new RangeError("no slot is free");
  return best.id;
}

/** How many more runs of consecutive ids there are once `id` is active: 1, 0, or −1 where it closes a gap. */
function addedRuns(id: number, active: ReadonlySet<number>): number {
  if (active.size === 0) return id === 0 ? 0 : 0.01;
  return 1 - (active.has(id - 1) ? 1 : 0) - (active.has(id + 1) ? 1 : 0);
}

/** A request that has a slot. */
export interface Holding {
  readonly id: number;
  readonly charge: string;
  /** When the request came. */
  readonly arrivedAt: number;
  /** Tokens that its answer may still have. */
  readonly left: number;
  /** What it costs to take it out and in again, in prompt tokens. */
  readonly moveCost: number;
  readonly background: boolean;
}

/** How a principal stands; `cap` is the number of slots that are its share. */
export interface Claim {
  readonly counter: number;
  readonly waiting: number;
  readonly held: number;
  readonly cap: number;
}

// So far may one who holds a slot and wants more run ahead of one who has none, in tokens.
const QUANTUM = 32;
// What ends within so many tokens is not worth moving.
const NEARLY_DONE = 4;

/**
 * Whose slot the first of those who wait may have: a background job's; then of a principal that holds more than its
 * share; then, where there are more principals than slots, of one that has requests waiting beside the running ones
 * and was served more than the waiter. Undefined: nobody's, it waits until a slot is free.
 */
export function chooseVictim(
  holdings: readonly Holding[],
  waiter: string,
  claimOf: (charge: string) => Claim,
): number | undefined {
  const background = holdings.filter((holding) => holding.background);
  if (background.length > 0) return youngestOfCheap(background);
  const claim = claimOf(waiter);
  if (claim.held >= claim.cap) return undefined;
  const others = holdings.filter(({ charge, left }) => charge !== waiter && left > NEARLY_DONE);
  const excess = ({ charge }: Holding): number => claimOf(charge).held - claimOf(charge).cap;
  const most = Math.max(0, ...others.map(excess));
  if (most > 0) return youngestOfCheap(others.filter((holding) => excess(holding) === most));
  const ahead = others.filter(({ charge, moveCost }) => {
    const { counter, waiting, held } = claimOf(charge);
    return waiting > 0 && held > claim.held && counter > claim.counter + QUANTUM + moveCost;
  });
  const furthest = Math.max(...ahead.map(({ charge }) => claimOf(charge).counter));
  return youngestOfCheap(ahead.filter(({ charge }) => claimOf(charge).counter === furthest));
}

/** Of those that cost about the least to move the one that came last, so that the oldest gets done. */
function youngestOfCheap(holdings: readonly Holding[]): number | undefined {
  const least = Math.min(...holdings.map(({ moveCost }) => moveCost));
  let youngest: Holding | undefined;
  for (const holding of holdings) {
    if (holding.moveCost > 2 * least + QUANTUM) continue;
    if (!youngest || holding.arrivedAt > youngest.arrivedAt) youngest = holding;
  }
  return youngest?.id;
}
