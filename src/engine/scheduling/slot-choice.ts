/**
 * Which slot a request gets, and whose it may take, as pure functions. Times are in milliseconds, lengths in tokens.
 */

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
// What it costs to drop the most recently used of the conversations kept by free slots, in prompt tokens, if it is sure to
// come back.
const EVICTION_COST = 24;

/**
 * The free slot with the least cost: tokens to process, runs of active ids (a gap splits the native batch), and the
 * conversation that would lose its KV, the least recently used one first.
 *
 * @param returnRate how often a conversation that lost its slot comes back: where nobody does, a common beginning in a used
 *   slot is worth more than what is lost
 * @throws RangeError when no slot is free.
 */
export function chooseSlot(
  free: readonly SlotChoice[],
  active: readonly number[],
  promptTokens: number,
  returnRate = 1,
): number {
  const taken = new Set(active);
  const byAge = free.filter((slot) => slot.kept > 0).toSorted((a, b) => a.lastUsed - b.lastUsed);
  const costOf = (slot: SlotChoice): number => {
    const loses = slot.kept > 0 && !slot.same;
    const eviction = loses ? (returnRate * EVICTION_COST * (byAge.indexOf(slot) + 1)) / byAge.length : 0;
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
  readonly accountKey: string;
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
  claimOf: (accountKey: string) => Claim,
): number | undefined {
  const background = holdings.filter((holding) => holding.background);
  if (background.length > 0) return youngestOfCheap(background);
  const claim = claimOf(waiter);
  if (claim.held >= claim.cap) return undefined;
  const others = holdings.filter(({ accountKey, left }) => accountKey !== waiter && left > NEARLY_DONE);
  const excess = ({ accountKey }: Holding): number => claimOf(accountKey).held - claimOf(accountKey).cap;
  const most = Math.max(0, ...others.map(excess));
  if (most > 0) return youngestOfCheap(others.filter((holding) => excess(holding) === most));
  const ahead = others.filter(({ accountKey, moveCost }) => {
    const { counter, waiting, held } = claimOf(accountKey);
    return waiting > 0 && held > claim.held && counter > claim.counter + QUANTUM + moveCost;
  });
  const furthest = Math.max(...ahead.map(({ accountKey }) => claimOf(accountKey).counter));
  return youngestOfCheap(ahead.filter(({ accountKey }) => claimOf(accountKey).counter === furthest));
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
