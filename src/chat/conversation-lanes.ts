import { ServiceError } from "../core/errors.ts";

/** One message on its way through its conversation. */
export interface LaneTask {
  /** Its turn has come. The lane goes on when the promise settles; it must not reject. */
  run(): Promise<void>;
  /** Its place behind the running one changed; 1 = next. */
  moved(position: number): void;
}

interface Lane<T extends LaneTask> {
  readonly conversation: string;
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
  /** A client has few at a time. */
  readonly #clients = new Map<string, Lane<T>[]>();
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
    const lane = this.#find(client, conversation);
    const { maxPending, maxActivePerClient } = this.#limits;
    if (lane === undefined && (this.#clients.get(client)?.length ?? 0) >= maxActivePerClient) {
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
    const lane = this.#find(client, conversation);
    if (lane === undefined) {
      const fresh: Lane<T> = { conversation, running: task, waiting: [] };
      const lanes = this.#clients.get(client);
      if (lanes === undefined) this.#clients.set(client, [fresh]);
      else lanes.push(fresh);
      this.#run(client, fresh);
      return;
    }
    lane.waiting.push(task);
    this.#waiting++;
    task.moved(lane.waiting.length);
  }

  /** Takes waiting tasks for which `leaves` holds out of a conversation; the running one stays. Returns them. */
  remove(client: string, conversation: string, leaves: (task: T) => boolean): T[] {
    const lane = this.#find(client, conversation);
    if (lane === undefined) return [];
    const removed = lane.waiting.filter(leaves);
    if (removed.length === 0) return [];
    const staying = lane.waiting.filter((task) => !removed.includes(task));
    lane.waiting.splice(0, lane.waiting.length, ...staying);
    this.#waiting -= removed.length;
    announce(lane);
    return removed;
  }

  #find(client: string, conversation: string): Lane<T> | undefined {
    return this.#clients.get(client)?.find((lane) => lane.conversation === conversation);
  }

  #run(client: string, lane: Lane<T>): void {
    void lane.running.run().finally(() => {
      const next = lane.waiting.shift();
      if (next === undefined) {
        const others = (this.#clients.get(client) ?? []).filter((it) => it !== lane);
        if (others.length === 0) this.#clients.delete(client);
        else this.#clients.set(client, others);
        return;
      }
      this.#waiting--;
      lane.running = next;
      announce(lane);
      this.#run(client, lane);
    });
  }
}

function announce(lane: Lane<LaneTask>): void {
  lane.waiting.forEach((task, index) => task.moved(index + 1));
}
