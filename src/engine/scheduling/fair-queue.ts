import { Account, FairLevel, isServedBefore } from "./fair-level.ts";

/** A request as the queue reads it. */
export interface QueuedJob {
  /** Account of the principal that is charged. */
  readonly accountKey: string;
  /** Client of the principal; the clients of one principal share its service equally. */
  readonly client: string;
  /** Share of this principal against others of weight 1; > 0. */
  readonly weight: number;
  /** Prompt tokens left to process, as estimated when the request is queued. */
  readonly promptTokens: number;
  /** Time of arrival, in milliseconds. */
  readonly arrivedAt: number;
  /** Served only while no other request waits. */
  readonly background: boolean;
}

export interface FairQueueLimits {
  /** Requests that may wait, without background jobs. */
  readonly requests: number;
  /** Prompt tokens of all waiting requests and background jobs together. */
  readonly promptTokens: number;
  /** Background jobs that may wait. */
  readonly background: number;
}

/** Service record of one principal; for the fields see {@link Account}. */
export interface Standing {
  readonly accountKey: string;
  readonly counter: number;
  readonly weight: number;
  readonly waiting: number;
  readonly held: number;
}

/** Ageing: each millisecond that a request has waited counts as this many prompt tokens less. */
const TOKENS_PER_MS = 0.1;
/** Debts kept for principals. */
const MAX_DEBTS = 16_384;
/** Debts kept for the clients of one principal. */
const MAX_CLIENT_DEBTS = 256;

interface Waiting<T> {
  readonly job: T;
  /** Order within a client, lowest first. All requests age at the same rate, so it does not change with time. */
  readonly rank: number;
  /** Prompt tokens when the job was queued. */
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
 * Requests that wait for a slot, and the service that each principal and client has received. The shortest prompt (with
 * ageing) of the least served client of the least served principal is next. A request is added, taken, perhaps requeued
 * and taken again, and finally done; its served tokens are charged meanwhile. No I/O and no clock.
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

  /** Background jobs that wait. */
  get background(): number {
    return this.#backgroundJobs;
  }

  /** Prompt tokens of all waiting requests and background jobs. */
  get promptTokens(): number {
    return this.#tokens;
  }

  /** @returns false when the queue is full. */
  add(job: T): boolean {
    const { requests, promptTokens, background } = this.limits;
    if (job.background ? this.#backgroundJobs >= background : this.#requests >= requests) return false;
    // An empty queue accepts a prompt of any length.
    if (this.#where.size > 0 && this.#tokens + job.promptTokens > promptTokens) return false;
    const principal = this.#principals.enter(job.accountKey);
    principal.weight = job.weight;
    principal.clients.enter(job.client);
    this.#insert(job);
    return true;
  }

  /** Returns a taken job to the queue. The limits do not apply. */
  requeue(job: T): void {
    this.#hold(job, -1);
    this.#insert(job);
  }

  /** Takes the next request, or with `background` the next background job. `slots`: number of slots of the engine. */
  take(slots: number, background = false): T | undefined {
    const next = this.peek(slots, background);
    if (!next) return undefined;
    this.#extract(next);
    this.#hold(next, 1);
    return next;
  }

  /** The job that {@link take} would return. */
  peek(slots: number, background = false): T | undefined {
    const client = this.#nextClient(slots, background);
    return (background ? client?.background : client?.jobs)?.[0]?.job;
  }

  /** Removes a waiting job for good. @returns whether it was waiting. */
  remove(job: T): boolean {
    if (!this.#where.has(job)) return false;
    this.#extract(job);
    this.#leave(job);
    return true;
  }

  /** Ends a taken job. */
  done(job: T): void {
    this.#hold(job, -1);
    this.#leave(job);
  }

  /** Charges served tokens to a job that waits or was taken. A negative number is a refund. */
  charge(job: T, tokens: number): void {
    const principal = this.#principals.get(job.accountKey);
    const client = principal?.clients.get(job.client);
    if (!principal || !client) throw new Error("cannot charge a job that is not in the queue");
    principal.counter += tokens / principal.weight;
    client.counter += tokens;
  }

  standing(accountKey: string): Standing | undefined {
    const account = this.#principals.get(accountKey);
    return account && standingOf(account);
  }

  /** Records of all principals with a request that waits or runs. */
  *standings(): Iterable<Standing> {
    for (const account of this.#principals.values()) {
      if (account.waiting + account.held > 0) yield standingOf(account);
    }
  }

  /** Number of slots that a principal may hold while other principals wait: its share, rounded up. */
  cap(accountKey: string, slots: number): number {
    const account = this.#principals.get(accountKey);
    return account ? capOf(account.weight, this.#totalWeight(), slots) : 0;
  }

  /** Waiting requests (no background jobs) in the order of service, if none arrive and each costs `costOf` tokens. */
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
      // A principal at its cap ranks after all others, but no slot stays empty because of the cap.
      const capped = principal.held >= capOf(principal.weight, total, slots);
      if (best && (capped === bestCapped ? !isServedBefore(principal, best) : capped)) continue;
      best = principal;
      bestCapped = capped;
    }
    let client: ClientAccount<T> | undefined;
    for (const account of best?.clients.values() ?? []) {
      if ((background ? account.background : account.jobs).length === 0) continue;
      if (!client || isServedBefore(account, client)) client = account;
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
    if (!waiting) throw new Error("the job does not wait in the queue");
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
    if (!principal || !client) throw new Error("the job is not in the queue");
    return [principal, client];
  }
}

function standingOf({ key, counter, weight, waiting, held }: Account): Standing {
  return { accountKey: key, counter, weight, waiting, held };
}

function capOf(weight: number, total: number, slots: number): number {
  // The margin keeps rounding errors from turning an exact share into one more slot.
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
