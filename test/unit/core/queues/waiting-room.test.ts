import fc from "../../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { WaitingRoom } from "../../../../src/core/queues/waiting-room.ts";
import type { Waiter } from "../../../../src/core/queues/waiting-weights.ts";

interface Named extends Waiter {
  readonly name: string;
}

let count = 0;
const user = (accountKey: string): Named => ({
  name: `${accountKey} ${++count}`,
  accountKey,
  authenticated: true,
});
const visitor = (accountKey: string): Named => ({ ...user(accountKey), authenticated: false });

function fill(room: WaitingRoom<Named>, waiters: readonly Named[]): (Named | undefined)[] {
  return waiters.map((waiter) => room.enter(waiter));
}

describe("WaitingRoom", () => {
  it("removes the youngest request of the principal with the most requests when it is full", () => {
    const room = new WaitingRoom<Named>(4);
    const many = [user("sub:a"), user("sub:a"), user("sub:a")];
    fill(room, [...many, user("sub:b")]);
    expect(room.enter(user("sub:c"))).toBe(many[2]);
    expect(room.size).toBe(4);
  });

  it("refuses the new request of a principal that has as many requests as any other", () => {
    const room = new WaitingRoom<Named>(4);
    fill(room, [user("sub:a"), user("sub:a"), user("sub:b"), user("sub:b")]);
    const again = user("sub:b");
    expect(room.enter(again)).toBe(again);
    const single = new WaitingRoom<Named>(1);
    single.enter(user("sub:a"));
    const other = user("sub:b");
    expect(single.enter(other)).toBe(other);
  });

  it("prefers an authenticated client to an anonymous one with as many requests", () => {
    const room = new WaitingRoom<Named>(1);
    const waiting = visitor("addr:10.0.0.1");
    room.enter(waiting);
    expect(room.enter(user("sub:a"))).toBe(waiting);
    const refused = visitor("addr:10.0.0.2");
    expect(room.enter(refused)).toBe(refused);
  });

  it("keeps a quarter of the places for authenticated clients, against any number of addresses", () => {
    const room = new WaitingRoom<Named>(8);
    const losers = fill(
      room,
      Array.from({ length: 1000 }, (_, index) => visitor(`addr:10.0.${index >> 8}.${index & 255}`)),
    );
    expect(room.size).toBe(6);
    expect(losers.filter((loser) => loser === undefined)).toHaveLength(6);
    expect(fill(room, [user("sub:a"), user("sub:b")])).toEqual([undefined, undefined]);
    expect(room.enter(user("sub:c"))?.accountKey).toMatch(/^addr:/);
  });

  it("counts the networks of one IPv6 site together, and then against each other", () => {
    const room = new WaitingRoom<Named>(8);
    const honest = [visitor("addr:2001:db8:2:1::/64"), visitor("addr:10.0.0.1")];
    fill(room, honest);
    const site = Array.from({ length: 50 }, (_, index) =>
      visitor(`addr:2001:db8:1:${index.toString(16)}::/64`),
    );
    fill(room, site);
    const late = visitor("addr:10.0.0.2");
    expect(room.enter(late)?.accountKey).toMatch(/^addr:2001:db8:1:/);
    for (const waiter of [...honest, late]) expect(room.leave(waiter)).toBe(true);
  });

  it("counts the account of address zero for its network", () => {
    const room = new WaitingRoom<Named>(4);
    const first = visitor("addr:2001:db8::/64");
    const second = visitor("addr:2001:db8:0:1::/64");
    fill(room, [first, second, visitor("addr:10.0.0.1")]);
    const loser = room.enter(visitor("addr:10.0.1.2"));
    expect([first, second]).toContain(loser);
  });

  it("holds its bounds and always removes the youngest of the largest, whatever happens", () => {
    const event = fc.record({ account: fc.nat(5), authenticated: fc.boolean(), leaves: fc.boolean() });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.array(event, { maxLength: 100 }), (places, events) => {
        const room = new WaitingRoom<Named>(places);
        const waiting: Named[] = [];
        for (const { account, authenticated, leaves } of events) {
          if (leaves && waiting.length > 0) {
            const [gone] = waiting.splice(account % waiting.length, 1);
            expect(room.leave(gone as Named)).toBe(true);
            expect(room.leave(gone as Named)).toBe(false);
            continue;
          }
          const waiter = authenticated ? user(`sub:${account}`) : visitor(`addr:10.0.0.${account}`);
          waiting.push(waiter);
          const loser = room.enter(waiter);
          if (loser) {
            const peers = waiting.filter((it) => it.authenticated === loser.authenticated);
            const sizeOf = (accountKey: string) => peers.filter((it) => it.accountKey === accountKey).length;
            const own = peers.filter((it) => it.accountKey === loser.accountKey);
            expect(own.length).toBe(Math.max(...peers.map((it) => sizeOf(it.accountKey))));
            expect(own.at(-1)).toBe(loser);
            waiting.splice(waiting.indexOf(loser), 1);
          }
          expect(room.size).toBe(waiting.length);
          expect(room.size).toBeLessThanOrEqual(places);
          const visitors = waiting.filter((it) => !it.authenticated).length;
          expect(visitors).toBeLessThanOrEqual(places - Math.floor(places / 4));
        }
      }),
    );
  });
});
