import { describe, expect, it } from "vitest";
import { SlotQueue, type Ticket } from "../../../../src/providers/echo/slot-queue.ts";
import { VirtualClock, settle } from "../../../support/virtual-clock.ts";

function enter(queue: SlotQueue): Ticket {
  const ticket = queue.enter({ accountKey: "sub:a", authenticated: true });
  if (ticket === null) throw new Error("the queue is full");
  return ticket;
}

describe("the slot queue", () => {
  it("assigns free slots at once and then places in order", () => {
    const queue = new SlotQueue(2, 10, new VirtualClock());
    expect([0, 1, 2, 3].map(() => enter(queue).position)).toEqual([0, 0, 1, 2]);
    expect(queue.waiting).toBe(2);
  });

  it("accepts requests up to its limit, and more when a place is free again", () => {
    const queue = new SlotQueue(1, 1, new VirtualClock());
    const first = enter(queue);
    enter(queue);
    expect(queue.enter({ accountKey: "sub:a", authenticated: true })).toBeNull();
    first.leave();
    expect(enter(queue).position).toBe(1);
  });

  it("passes slots on in order of arrival", async () => {
    const queue = new SlotQueue(1, 10, new VirtualClock());
    const order: number[] = [];
    const tickets = [0, 1, 2, 3].map(() => enter(queue));
    const runs = tickets.map(async (ticket, index) => {
      while (ticket.position > 0) await ticket.changed();
      order.push(index);
      await settle();
      ticket.leave();
    });
    await Promise.all(runs);
    expect(order).toEqual([0, 1, 2, 3]);
    expect(enter(queue).position).toBe(0);
  });

  it("reports a slot that was assigned before changed() is called", async () => {
    const queue = new SlotQueue(1, 10, new VirtualClock());
    const first = enter(queue);
    const second = enter(queue);
    first.leave();
    await second.changed();
    expect(second.position).toBe(0);
  });

  it("reports new positions twice a second, and only changed ones", async () => {
    const clock = new VirtualClock();
    const queue = new SlotQueue(1, 10, clock);
    const [, second, third, fourth] = [0, 1, 2, 3].map(() => enter(queue)) as [
      Ticket,
      Ticket,
      Ticket,
      Ticket,
    ];
    let fourthReports = 0;
    void fourth.changed().then(() => fourthReports++);
    let secondReports = 0;
    void second.changed().then(() => secondReports++);
    third.leave();
    await clock.pass(400);
    expect(fourthReports).toBe(0);
    await clock.pass(100);
    expect([fourthReports, fourth.position, secondReports, second.position]).toEqual([1, 2, 0, 1]);
    expect(clock.pending).toBe(0);
  });

  it("releases a slot once even if it is released repeatedly", () => {
    const queue = new SlotQueue(1, 10, new VirtualClock());
    const first = enter(queue);
    first.leave();
    first.leave();
    expect([enter(queue).position, enter(queue).position]).toEqual([0, 1]);
  });

  it("passes a slot on if its new holder has left already", () => {
    const queue = new SlotQueue(1, 10, new VirtualClock());
    const [first, second, third] = [enter(queue), enter(queue), enter(queue)];
    first.leave();
    second.leave();
    expect(third.position).toBe(0);
  });
});
