import fc from "../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { ConversationLanes, type LaneLimits, type LaneTask } from "../../../src/chat/conversation-lanes.ts";
import { ServiceError } from "../../../src/core/errors.ts";
import { settle } from "../../support/virtual-clock.ts";

class Task implements LaneTask {
  readonly name: string;
  /** Every reported position. */
  readonly positions: number[] = [];
  running = false;
  #end: () => void = () => {};
  readonly #log: string[];

  constructor(name: string, log: string[] = []) {
    this.name = name;
    this.#log = log;
  }

  run(): Promise<void> {
    this.running = true;
    this.#log.push(this.name);
    return new Promise((resolve) => {
      this.#end = () => {
        this.running = false;
        resolve();
      };
    });
  }

  moved(position: number): void {
    this.positions.push(position);
  }

  /** Finishes the running task and waits until its lane has continued. */
  async end(): Promise<void> {
    this.#end();
    await settle();
  }
}

const makeLanes = (limits: LaneLimits) => new ConversationLanes<Task>(limits, (task) => task.run());

function busyMessage(check: () => void): string {
  try {
    check();
  } catch (error) {
    expect(error).toBeInstanceOf(ServiceError);
    expect((error as ServiceError).report()).toMatchObject({ code: "busy", retryable: true });
    expect((error as ServiceError).retryAfterMs).toBeGreaterThan(0);
    return (error as ServiceError).message;
  }
  throw new Error("not busy");
}

describe("ConversationLanes", () => {
  it("runs one task of a conversation at a time, in order, and other conversations in parallel", async () => {
    const lanes = makeLanes({ maxPending: 8, maxActivePerClient: 8 });
    const log: string[] = [];
    const [a, b, c, other, stranger] = ["a", "b", "c", "other", "stranger"].map(
      (name) => new Task(name, log),
    );
    if (!a || !b || !c || !other || !stranger) throw new Error("no tasks");
    for (const task of [a, b, c]) lanes.enter("client", "one", task);
    lanes.enter("client", "two", other);
    lanes.enter("stranger", "one", stranger);
    expect(log).toEqual(["a", "other", "stranger"]);
    expect(lanes.waiting).toBe(2);
    await a.end();
    expect(log.at(-1)).toBe("b");
    await b.end();
    expect(log.at(-1)).toBe("c");
    expect(lanes.waiting).toBe(0);
  });

  it("reports the position to each task at once and on every change", async () => {
    const lanes = makeLanes({ maxPending: 8, maxActivePerClient: 8 });
    const tasks = ["a", "b", "c", "d"].map((name) => new Task(name));
    for (const task of tasks) lanes.enter("client", "one", task);
    expect(tasks.map(({ positions }) => positions)).toEqual([[], [1], [2], [3]]);
    expect(lanes.remove("client", "one", (task) => task.name === "c").map(({ name }) => name)).toEqual(["c"]);
    expect(tasks[3]?.positions.at(-1)).toBe(2);
    await tasks[0]?.end();
    expect(tasks[1]?.running).toBe(true);
    expect(tasks[3]?.positions.at(-1)).toBe(1);
    expect(tasks[2]?.positions).toEqual([2]);
  });

  it("removes only waiting tasks, and none from unknown conversations", () => {
    const lanes = makeLanes({ maxPending: 8, maxActivePerClient: 8 });
    const [a, b] = [new Task("a"), new Task("b")];
    lanes.enter("client", "one", a);
    lanes.enter("client", "one", b);
    expect(lanes.remove("client", "two", () => true)).toEqual([]);
    expect(lanes.remove("stranger", "one", () => true)).toEqual([]);
    expect(lanes.remove("client", "one", () => true)).toEqual([b]);
    expect(lanes.waiting).toBe(0);
    expect(a.running).toBe(true);
  });

  it("refuses a task when the limit of waiting tasks is reached, and reports the limit", async () => {
    const lanes = makeLanes({ maxPending: 2, maxActivePerClient: 8 });
    const tasks = ["a", "b", "c"].map((name) => new Task(name));
    for (const task of tasks) {
      lanes.check("client", "one");
      lanes.enter("client", "one", task);
    }
    expect(busyMessage(() => lanes.check("client", "one"))).toMatch(
      /^This conversation already has 2 messages waiting/,
    );
    lanes.check("client", "two");
    lanes.check("stranger", "one");
    await tasks[0]?.end();
    lanes.check("client", "one");
  });

  it("refuses another active conversation over the limit, but not more tasks in active ones", async () => {
    const lanes = makeLanes({ maxPending: 8, maxActivePerClient: 2 });
    const [a, b] = [new Task("a"), new Task("b")];
    lanes.enter("client", "one", a);
    lanes.enter("client", "two", b);
    expect(busyMessage(() => lanes.check("client", "three"))).toMatch(
      /^You have unfinished answers in 2 conversations/,
    );
    lanes.check("client", "one");
    lanes.check("stranger", "three");
    await a.end();
    lanes.check("client", "three");
  });

  it("keeps order, counts and positions consistent over random operations", async () => {
    const step = fc.record({
      act: fc.constantFrom("enter", "end", "remove" as const),
      client: fc.constantFrom("x", "y"),
      conversation: fc.constantFrom("one", "two"),
      pick: fc.nat({ max: 5 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 50 }), async (steps) => {
        const lanes = makeLanes({ maxPending: 3, maxActivePerClient: 2 });
        const model = new Map<string, Task[]>();
        for (const { act, client, conversation, pick } of steps) {
          const key = `${client}/${conversation}`;
          const tasks = model.get(key) ?? [];
          model.set(key, tasks);
          if (act === "enter") {
            let refused = false;
            try {
              lanes.check(client, conversation);
            } catch {
              refused = true;
            }
            expect(refused).toBe(tasks.length > 3);
            if (refused) continue;
            const task = new Task("t");
            tasks.push(task);
            lanes.enter(client, conversation, task);
          } else if (act === "end") {
            await tasks[0]?.end();
            tasks.shift();
          } else {
            const chosen = tasks[pick];
            const removed = lanes.remove(client, conversation, (task) => task === chosen);
            expect(removed).toEqual(pick > 0 && chosen !== undefined ? [chosen] : []);
            if (removed.length > 0) tasks.splice(pick, 1);
          }
          for (const lane of model.values()) {
            lane.forEach((task, index) => {
              expect(task.running).toBe(index === 0);
              if (index > 0) expect(task.positions.at(-1)).toBe(index);
            });
          }
          const waiting = [...model.values()].reduce((sum, lane) => sum + Math.max(0, lane.length - 1), 0);
          expect(lanes.waiting).toBe(waiting);
        }
      }),
      { numRuns: 60 },
    );
  });
});
