import { Account, beforeInTurn, FairLevel } from "./fair-level.ts";

/** What the queue has to know of a request. */
export interface QueuedJob {
  /** Who is charged. */
  readonly accountKey: string;
  /** Shares with the other clients of the same account. */
  readonly client: string;
  /** Share of this principal against others of weight 1; > 0. */
  readonly weight: number;
  /** Prompt tokens still to be processed, as far as known when it is queued. */
  readonly promptTokens: number;
  /** When it came, in milliseconds. */
  readonly arrivedAt: number;
  /** Served only while no other request waits. */
  readonly background: boolean;
}

export interface FairQueueLimits {
  readonly requests: number;
  /** Sum over all that wait. */
  readonly promptTokens: number;
  /** Background jobs that may wait. */
  readonly background: number;
}

/** How one principal stands. */
export interface Standing {
  readonly accountKey: string;
  readonly counter: number;
  readonly weight: number;
  readonly waiting: number;
  readonly held: number;
}

// Ageing: a request is overtaken by shorter prompts of its client for a second per this many tokens of difference.
const TOKENS_PER_MS = 0.1;
const MAX_DEBTS = 16_384;
const MAX_CLIENT_DEBTS = 256;

interface Waiting<T> {
  readonly job: T;
  /** The order within a client. All age alike, so it does not change with time. */
  readonly rank: number;
  /** Prompt tokens as they were when it was queued. */
  readonly tokens: number;
}

class ClientAccount<T> extends Account {
  readonly jobs: Waiting<T>[] = [];
  readonly background: Waiting<T>[] = [];
}

class PrincipalAccount<T> extends Account {
  backgroundJobs = 0;
  readonly clients = new FairLevel<ClientAccount<T>>(
    (key, joined) => new ClientAccount(key, joined),
    MAX_CLIENT_DEBTS,
  );
}

/**
 * Requests that wait for a slot, and what everybody has been served: the principal served least goes first, within it
 * the client served least, within that the shortest prompt, with ageing. A request is added, taken, perhaps preempted and
 * taken again, and is done; served tokens are charged meanwhile. Pure but for its own state.
 */
export class FairQueue<T extends QueuedJob> {
  readonly limits: FairQueueLimits;
  readonly #principals = new FairLevel<PrincipalAccount<T>>(
    (key, joined) => new PrincipalAccount(key, joined),
    MAX_DEBTS,
  );
  readonly #where = new Map<T, Waiting<T>>();
  #requests = 0;
  #backgroundJobs = 0;
  #tokens = 0;

  constructor(limits: FairQueueLimits) {
    this.limits = limits;
  }

  /** Requests that wait, without background jobs. */
  get size(): number {
    return this.#requests;
  }

  get background(): number {
    return this.#backgroundJobs;
  }

  /** Prompt tokens of all that wait. */
  get promptTokens(): number {
    return this.#tokens;
  }

  /** @returns false when there is no room for it. */
  add(job: T): boolean {
    const { requests, promptTokens, background } = this.limits;
    if (job.background ? this.#backgroundJobs >= background : this.#requests >= requests) return false;
    // One prompt alone always has room.
    if (this.#where.size > 0 && this.#tokens + job.promptTokens > promptTokens) return false;
    const principal = this.#principals.enter(job.accountKey);
    principal.weight = job.weight;
    principal.clients.enter(job.client);
    this.#insert(job);
    return true;
  }

  /** Puts back what was taken; there is always room for it. */
  requeue(job: T): void {
    this.#hold(job, -1);
    this.#insert(job);
  }

  /** The next request, or with `background` the next background job. `slots`: of the engine, for the cap. */
  take(slots: number, background = false): T | undefined {
    const next = this.peek(slots, background);
    if (!next) return undefined;
    this.#extract(next);
    this.#hold(next, 1);
    return next;
  }

  /** What {@link take} would give. */
  peek(slots: number, background = false): T | undefined {
    const client = this.#nextClient(slots, background);
    return (background ? client?.background : client?.jobs)?.[0]?.job;
  }

  /** Takes a waiting job out for good. @returns whether it was waiting. */
  remove(job: T): boolean {
    if (!this.#where.has(job)) return false;
    this.#extract(job);
    this.#leave(job);
    return true;
  }

  /** A job that was taken is over. */
  done(job: T): void {
    this.#hold(job, -1);
    this.#leave(job);
  }

  /** Tokens that this job was served; below 0 gives back. The job waits or was taken. */
  charge(job: T, tokens: number): void {
    const principal = this.#principals.get(job.accountKey);
    const client = principal?.clients.get(job.client);
    if (!principal || !client) throw new Error("a job outside of the queue is charged");
    principal.counter += tokens / principal.weight;
    client.counter += tokens;
  }

  standing(accountKey: string): Standing | undefined {
    const account = this.#principals.get(accountKey);
    return account && standingOf(account);
  }

  /** Of all principals with a request that waits or runs. */
  *standings(): Iterable<Standing> {
    for (const account of this.#principals.values()) {
      if (account.waiting + account.held > 0) yield standingOf(account);
    }
  }

  /** Slots that a principal may hold while others want them: its share, rounded up. */
  cap(accountKey: string, slots: number): number {
    const account = this.#principals.get(accountKey);
    return account ? capOf(account.weight, this.#totalWeight(), slots) : 0;
  }

  /**
   * All that wait, without background jobs, in the order in which they would be served if nobody came: each is
   * expected to be charged `costOf` tokens.
   */
  inOrder(costOf: (job: T) => number): T[] {
    const all: { readonly job: T; readonly tag: number; readonly principal: Account }[] = [];
    for (const principal of this.#principals.values()) {
      if (principal.waiting === 0) continue;
      let tag = principal.counter;
      for (const job of orderOfClients(principal, costOf)) {
        all.push({ job, tag, principal });
        tag += costOf(job) / principal.weight;
      }
    }
    all.sort(
      (a, b) =>
        a.tag - b.tag || a.principal.held - b.principal.held || a.principal.joined - b.principal.joined,
    );
    return all.map(({ job }) => job);
  }

  #totalWeight(): number {
    let total = 0;
    for (const { weight, waiting, held } of this.#principals.values())
      if (waiting + held > 0) total += weight;
    return total;
  }

  #nextClient(slots: number, background: boolean): ClientAccount<T> | undefined {
    const total = this.#totalWeight();
    let best: PrincipalAccount<T> | undefined;
    let bestCapped = true;
    for (const principal of this.#principals.values()) {
      if ((background ? principal.backgroundJobs : principal.waiting) === 0) continue;
      // Who holds a full share comes after all others, and still before a slot stays empty.
      const capped = principal.held >= capOf(principal.weight, total, slots);
      if (best && (capped === bestCapped ? !beforeInTurn(principal, best) : capped)) continue;
      best = principal;
      bestCapped = capped;
    }
    let client: ClientAccount<T> | undefined;
    for (const account of best?.clients.values() ?? []) {
      if ((background ? account.background : account.jobs).length === 0) continue;
      if (!client || beforeInTurn(account, client)) client = account;
    }
    return client;
  }

  #insert(job: T): void {
    const [principal, client] = this.#accountsOf(job);
    const tokens = job.promptTokens;
    const waiting = { job, tokens, rank: tokens + TOKENS_PER_MS * job.arrivedAt };
    const list = job.background ? client.background : client.jobs;
    let at = list.length;
    while (at > 0 && (list[at - 1] as Waiting<T>).rank > waiting.rank) at--;
    list.splice(at, 0, waiting);
    this.#where.set(job, waiting);
    this.#tokens += tokens;
    if (job.background) {
      principal.backgroundJobs++;
      this.#backgroundJobs++;
      return;
    }
    this.#principals.wait(principal);
    principal.clients.wait(client);
    this.#requests++;
  }

  #extract(job: T): void {
    const [principal, client] = this.#accountsOf(job);
    const waiting = this.#where.get(job);
    const list = job.background ? client.background : client.jobs;
    if (!waiting) throw new Error("a job that does not wait");
    list.splice(list.indexOf(waiting), 1);
    this.#where.delete(job);
    this.#tokens -= waiting.tokens;
    if (job.background) {
      principal.backgroundJobs--;
      this.#backgroundJobs--;
      return;
    }
    principal.waiting--;
    client.waiting--;
    this.#requests--;
  }

  #hold(job: T, change: 1 | -1): void {
    if (job.background) return;
    for (const account of this.#accountsOf(job)) account.held += change;
  }

  #leave(job: T): void {
    const [principal, client] = this.#accountsOf(job);
    principal.clients.leave(client);
    this.#principals.leave(principal);
  }

  #accountsOf(job: T): [PrincipalAccount<T>, ClientAccount<T>] {
    const principal = this.#principals.get(job.accountKey);
    const client = principal?.clients.get(job.client);
    if (!principal || !client) throw new Error("a job outside of the queue");
    return [principal, client];
  }
}

function standingOf({ key, counter, weight, waiting, held }: Account): Standing {
  return { accountKey: key, counter, weight, waiting, held };
}

function capOf(weight: number, total: number, slots: number): number {
  // A hair less than the quotient: rounding must not turn an exact share into one more slot.
  return total > 0 ? Math.max(1, Math.ceil((weight / total) * slots - 1e-9)) : slots;
}

function orderOfClients<T extends QueuedJob>(
  principal: PrincipalAccount<T>,
  costOf: (job: T) => number,
): T[] {
  const all: { readonly job: T; readonly tag: number; readonly client: Account }[] = [];
  for (const client of principal.clients.values()) {
    let tag = client.counter;
    for (const { job } of client.jobs) {
      all.push({ job, tag, client });
      tag += costOf(job);
    }
  }
  all.sort((a, b) => a.tag - b.tag || a.client.held - b.client.held || a.client.joined - b.client.joined);
  return all.map(({ job }) => job);
}
