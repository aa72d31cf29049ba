import { ServiceError } from "../core/errors.ts";

/** One message on its way through its conversation. */
export interface LaneTask {
  /** Its turn has come. The lane goes on when the promise settles; it must not reject. */
  run(): Promise<void>;
  /** Its place behind the running one changed; 1 = next. */
  moved(position: number): void;
}

interface Lane<T extends LaneTask> {
  running: T;
  readonly waiting: T[];
}

export interface LaneLimits {
  /** Messages of one conversation that may wait behind the running one. */
  readonly maxPending: number;
  /** Conversations of one client with work at a time. */
  readonly maxActivePerClient: number;
}

/** A guess for clients that were refused: about the length of a short answer. */
const RETRY_AFTER_MS = 1000;

/** Order within conversations: one task of each runs at a time, in order of arrival; both kinds of crowding are bounded. */
export class ConversationLanes<T extends LaneTask> {
  readonly #limits: LaneLimits;
  readonly #clients = new Map<string, Map<string, Lane<T>>>();
  #waiting = 0;

  constructor(limits: LaneLimits) {
    this.#limits = limits;
  }

  /** Tasks that wait behind another one of their conversation. */
  get waiting(): number {
    return this.#waiting;
  }

  /** @throws ServiceError `busy` when a bound is met; nothing has changed then. */
  check(client: string, conversation: string): void {
    const lanes = this.#clients.get(client);
    const lane = lanes?.get(conversation);
    const { maxPending, maxActivePerClient } = this.#limits;
    if (lane === undefined && (lanes?.size ?? 0) >= maxActivePerClient) {
      const message = `You have ${maxActivePerClient} answers running or waiting; wait for one of them.`;
      throw new ServiceError("busy", message, { retryAfterMs: RETRY_AFTER_MS, limit: "active_answers" });
    }
    if (lane !== undefined && lane.waiting.length >= maxPending) {
      const message = `${maxPending} messages of this conversation wait already; wait for an answer.`;
      throw new ServiceError("busy", message, { retryAfterMs: RETRY_AFTER_MS, limit: "pending_messages" });
    }
  }

  /** Runs the task now, or when those before it in its conversation are done. Call {@link check} first. */
  enter(client: string, conversation: string, task: T): void {
    let lanes = this.#clients.get(client);
    if (lanes === undefined) this.#clients.set(client, (lanes = new Map()));
    const lane = lanes.get(conversation);
    if (lane === undefined) {
      const fresh: Lane<T> = { running: task, waiting: [] };
      lanes.set(conversation, fresh);
      this.#run(client, conversation, fresh);
      return;
    }
    lane.waiting.push(task);
    this.#waiting++;
    task.moved(lane.waiting.length);
  }

  /** Takes waiting tasks for which `leaves` holds out of a conversation; the running one stays. Returns them. */
  remove(client: string, conversation: string, leaves: (task: T) => boolean): T[] {
    const lane = this.#clients.get(client)?.get(conversation);
    if (lane === undefined) return [];
    const removed = lane.waiting.filter(leaves);
    if (removed.length === 0) return [];
    const staying = lane.waiting.filter((task) => !removed.includes(task));
    lane.waiting.splice(0, lane.waiting.length, ...staying);
    this.#waiting -= removed.length;
    announce(lane);
    return removed;
  }

  #run(client: string, conversation: string, lane: Lane<T>): void {
    void lane.running.run().finally(() => {
      const next = lane.waiting.shift();
      if (next === undefined) {
        const lanes = this.#clients.get(client);
        lanes?.delete(conversation);
        if (lanes?.size === 0) this.#clients.delete(client);
        return;
      }
      this.#waiting--;
      lane.running = next;
      announce(lane);
      this.#run(client, conversation, lane);
    });
  }
}

function announce(lane: Lane<LaneTask>): void {
  lane.waiting.forEach((task, index) => task.moved(index + 1));
}
