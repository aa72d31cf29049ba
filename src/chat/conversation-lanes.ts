import { ServiceError } from "../core/errors.ts";

/** One message on its way through its conversation. */
export interface LaneTask {
  /** Called with the task's new position behind the running one; 1 is next. */
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
  /** Conversations of one client that may have a running task at the same time. */
  readonly maxActivePerClient: number;
}

/** Suggested retry delay for refused messages, in milliseconds: about the length of a short answer. */
const RETRY_AFTER_MS = 1000;

/** Runs one task of each conversation at a time, in order of arrival, and bounds how many wait and how many run. */
export class ConversationLanes<T extends LaneTask> {
  readonly #limits: LaneLimits;
  readonly #runTask: (task: T) => Promise<void>;
  /** By client. A list, since each client has only a few lanes. */
  readonly #clients = new Map<string, Lane<T>[]>();
  #waiting = 0;

  /**
   * `runTask` is called when a task is first in its conversation. The next task starts when the promise settles.
   * It must not reject.
   */
  constructor(limits: LaneLimits, runTask: (task: T) => Promise<void>) {
    this.#limits = limits;
    this.#runTask = runTask;
  }

  /** Number of tasks that wait behind another one of their conversation. */
  get waiting(): number {
    return this.#waiting;
  }

  /** @throws ServiceError `busy` when one more task would exceed a limit; nothing has changed then. */
  check(client: string, conversation: string): void {
    const lane = this.#find(client, conversation);
    const { maxPending, maxActivePerClient } = this.#limits;
    if (lane === undefined && (this.#clients.get(client)?.length ?? 0) >= maxActivePerClient) {
      const message =
        `You have unfinished answers in ${counted(maxActivePerClient, "conversation")}, which is the limit. ` +
        "Wait for one to finish, then send the message again.";
      throw new ServiceError("busy", message, { retryAfterMs: RETRY_AFTER_MS, limit: "active_answers" });
    }
    if (lane !== undefined && lane.waiting.length >= maxPending) {
      const message =
        `This conversation already has ${counted(maxPending, "message")} waiting, which is the limit. ` +
        "Wait for an answer, then send the message again.";
      throw new ServiceError("busy", message, { retryAfterMs: RETRY_AFTER_MS, limit: "pending_messages" });
    }
  }

  /** Runs the task now, or after the earlier ones of its conversation. Call {@link check} first. */
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

  /** Removes the waiting tasks that match from a conversation and returns them. The running task always stays. */
  remove(client: string, conversation: string, matches: (task: T) => boolean): T[] {
    const lane = this.#find(client, conversation);
    if (lane === undefined) return [];
    const removed = lane.waiting.filter(matches);
    if (removed.length === 0) return [];
    const staying = lane.waiting.filter((task) => !removed.includes(task));
    lane.waiting.splice(0, lane.waiting.length, ...staying);
    this.#waiting -= removed.length;
    reportPositions(lane);
    return removed;
  }

  #find(client: string, conversation: string): Lane<T> | undefined {
    return this.#clients.get(client)?.find((lane) => lane.conversation === conversation);
  }

  #run(client: string, lane: Lane<T>): void {
    void this.#runTask(lane.running).finally(() => {
      const next = lane.waiting.shift();
      if (next === undefined) {
        const others = (this.#clients.get(client) ?? []).filter((it) => it !== lane);
        if (others.length === 0) this.#clients.delete(client);
        else this.#clients.set(client, others);
        return;
      }
      this.#waiting--;
      lane.running = next;
      reportPositions(lane);
      this.#run(client, lane);
    });
  }
}

function reportPositions(lane: Lane<LaneTask>): void {
  lane.waiting.forEach((task, index) => task.moved(index + 1));
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
