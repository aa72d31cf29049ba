/**
 * Chooses the slot that a request gets, and the request that is preempted for it. Pure functions; times are in
 * milliseconds, lengths in tokens.
 */

/** A free slot that a request could get. */
export interface SlotChoice {
  readonly id: number;
  /** Prompt tokens that would not have to be processed again in this slot. */
  readonly reusable: number;
  /** Whether the slot keeps the KV of the request's conversation. */
  readonly same: boolean;
  /** Tokens in its KV. */
  readonly kept: number;
  /** When it was last used; any increasing number. */
  readonly lastUsed: number;
}

/** Cost of one more run of consecutive ids, in prompt tokens: it makes each later step 1–2 % longer. */
const RUN_COST = 4;
/** Cost of evicting the most recently used conversation in a free slot, in prompt tokens, if it is sure to continue. */
const EVICTION_COST = 24;

/**
 * Returns the id of the free slot with the lowest cost: tokens to process, runs of active ids (a gap splits the native
 * batch), and the conversation that would lose its KV, which costs less the longer ago it was used.
 *
 * @param returnRate share of conversations that continue after they lost their slot, 0..1; at a low rate, a common
 *   prefix in a used slot is worth more than the conversation that is evicted
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

/**
 * How many more runs of consecutive ids there are once `id` is active: 1, 0, or −1 where it closes a gap. With no
 * active id the small cost of all ids but 0 makes slot 0 the first choice.
 */
function addedRuns(id: number, active: ReadonlySet<number>): number {
  if (active.size === 0) return id === 0 ? 0 : 0.01;
  return 1 - (active.has(id - 1) ? 1 : 0) - (active.has(id + 1) ? 1 : 0);
}

/** A request that holds a slot. */
export interface Holding {
  /** Id of the slot. */
  readonly id: number;
  readonly accountKey: string;
  /** Time of arrival of the request. */
  readonly arrivedAt: number;
  /** Tokens that its answer may still generate. */
  readonly left: number;
  /** Cost of preempting and later resuming it, in prompt tokens. */
  readonly moveCost: number;
  readonly background: boolean;
}

/** Service record of a principal, see `Account`; `cap` is the number of slots that are its share. */
export interface Claim {
  readonly counter: number;
  readonly waiting: number;
  readonly held: number;
  readonly cap: number;
}

/** Tokens by which a principal may be ahead of one with fewer slots before it is preempted. */
const QUANTUM = 32;
/** An answer with at most this many tokens left is not preempted for another principal. */
const NEARLY_DONE = 4;

/**
 * Returns the slot whose request is preempted for the first waiting request: that of a background job; else of the
 * principal furthest above its share; else, with more principals than slots, of a principal that also has requests
 * waiting and was served more than the waiter.
 *
 * @param waiter account of the first waiting request
 * @returns undefined when no request may be preempted; the waiting request then waits for a free slot.
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

/** The latest arrival among those that are about the cheapest to move, so that the oldest requests finish. */
function youngestOfCheap(holdings: readonly Holding[]): number | undefined {
  const least = Math.min(...holdings.map(({ moveCost }) => moveCost));
  let youngest: Holding | undefined;
  for (const holding of holdings) {
    if (holding.moveCost > 2 * least + QUANTUM) continue;
    if (!youngest || holding.arrivedAt > youngest.arrivedAt) youngest = holding;
  }
  return youngest?.id;
}
