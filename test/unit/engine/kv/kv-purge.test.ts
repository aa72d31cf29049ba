import { describe, expect, it } from "vitest";
import type { Clock } from "../../../../src/core/clock.ts";
import type { PreparedRequest } from "../../../../src/engine/ports.ts";
import { KvPurge } from "../../../../src/engine/kv/kv-purge.ts";
import { RequestState } from "../../../../src/engine/generation/request-state.ts";
import { Slot } from "../../../../src/engine/generation/slot.ts";
import { fakeKvCache } from "../../../support/fake-kv-cache.ts";
import { FakeContext, preparedRequest, recordedEvents } from "../../../support/fake-sequence.ts";

const SHARED = 10;

function setUp() {
  let now = 0;
  const clock: Clock = { now: () => now, wall: () => now, after: () => () => {} };
  const context = new FakeContext();
  const slots = [0, 1, 2, 3].map((id) => new Slot(context.sequence(id)));
  const cache = fakeKvCache(clock);
  const purge = new KvPurge({ slots, cache, clock });
  const begin = async (slot: number, client: string, conversation: string) => {
    const owned: Partial<PreparedRequest> = { client, conversation, sharedTokens: SHARED };
    const request = new RequestState(preparedRequest(100, owned), recordedEvents(), () => "", now);
    await slots[slot]?.assign(request, now);
    await slots[slot]?.sequence.prefill(request.tokens(0, 90));
    return request;
  };
  /** Ends a request as the loop does. */
  const end = async (slot: number, request: RequestState) => {
    const ended = slots[slot] as Slot;
    await ended.release(now);
    await purge.released(ended, request);
  };
  const store = async (slot: number) => {
    const { owner, sequence } = slots[slot] as Slot;
    if (owner) await cache.save(cache.key(owner.client, owner.conversation), owner.accountKey, sequence);
  };
  const kept = () => slots.map(({ sequence }) => sequence.length);
  const stored = (client: string, conversation: string) =>
    cache.tokens(cache.key(client, conversation)) !== undefined;
  const sequenceOf = (slot: number) => (slots[slot] as Slot).sequence;
  return {
    purge,
    cache,
    begin,
    end,
    store,
    kept,
    stored,
    sequenceOf,
    pass: (ms: number) => (now += ms),
  };
}

/** Four slots, each with the KV of an ended request of one conversation, whose state is stored. */
async function setUpFour() {
  const bench = setUp();
  const owners: [client: string, conversation: string][] = [
    ["ada", "1"],
    ["ada", "2"],
    ["bob", "1"],
    ["bob 1", "1"],
  ];
  for (const [slot, [client, conversation]] of owners.entries()) {
    const request = await bench.begin(slot, client, conversation);
    await bench.store(slot);
    await bench.end(slot, request);
  }
  bench.pass(1);
  const stored = () => owners.map(([client, conversation]) => bench.stored(client, conversation));
  return { ...bench, stored };
}

describe("KvPurge", () => {
  it("keeps the KV of clients and conversations that are not purged", async () => {
    const { purge, kept, stored } = await setUpFour();
    purge.add({ client: "eve" });
    purge.add({ client: "ada", conversation: "3" });
    await purge.run();
    expect(kept()).toEqual([90, 90, 90, 90]);
    expect(stored()).toEqual([true, true, true, true]);
    expect([purge.count, purge.due]).toEqual([0, false]);
  });

  it("removes a conversation's stored state, and its KV in a slot except for the tokens that all clients share", async () => {
    const { purge, kept, stored } = await setUpFour();
    purge.add({ client: "ada", conversation: "1" });
    expect(purge.due).toBe(true);
    await purge.run();
    expect(kept()).toEqual([SHARED, 90, 90, 90]);
    expect(stored()).toEqual([false, true, true, true]);
    expect(purge.count).toBe(2);
  });

  it("removes all KV of a client, and none of a client whose name has the same beginning", async () => {
    const { purge, kept, stored } = await setUpFour();
    purge.add({ client: "bob" });
    purge.add({ client: "ada" });
    await purge.run();
    expect(kept()).toEqual([SHARED, SHARED, SHARED, 90]);
    expect(stored()).toEqual([false, false, false, true]);
  });

  it("purges a running request when it ends, with the state stored in the meantime", async () => {
    const { purge, begin, end, store, kept, stored, pass } = setUp();
    const running = await begin(0, "ada", "1");
    pass(5);
    purge.add({ client: "ada" });
    await purge.run();
    expect(kept()[0]).toBe(90);
    await store(0);
    await end(0, running);
    expect(kept()[0]).toBe(SHARED);
    expect(stored("ada", "1")).toBe(false);
  });

  it("marks a running request as purged until it ends, but not a request that arrives later", async () => {
    const { purge, begin, pass } = setUp();
    const running = await begin(0, "ada", "1");
    const other = await begin(1, "bob", "1");
    pass(5);
    purge.add({ client: "ada", conversation: "1" });
    for (let index = 0; index < 5000; index++) purge.add({ client: `deleted ${index}` });
    await purge.run();
    pass(1);
    const later = await begin(2, "ada", "1");
    expect([running, other, later].map((request) => purge.concerns(request))).toEqual([true, false, false]);
  });

  it("erases the slot's previous KV when the state to load no longer exists", async () => {
    const { cache, begin, kept, sequenceOf } = setUp();
    await begin(0, "ada", "1");
    expect(kept()[0]).toBe(90);
    expect(await cache.load(cache.key("bob", "1"), sequenceOf(0))).toBe(false);
    expect(kept()[0]).toBe(0);
  });

  it("keeps the KV of requests that arrive after the purge", async () => {
    const { purge, begin, end, store, kept, stored, pass } = setUp();
    purge.add({ client: "ada" });
    purge.add({ client: "ada", conversation: "1" });
    await purge.run();
    pass(1);
    const later = await begin(0, "ada", "1");
    await store(0);
    await end(0, later);
    expect(kept()[0]).toBe(90);
    expect(stored("ada", "1")).toBe(true);
  });

  it("ignores purge requests over the limit between two runs", async () => {
    const { purge, begin, end, kept } = setUp();
    await end(0, await begin(0, "last", "1"));
    for (let index = 0; index < 16_384; index++) purge.add({ client: String(index) });
    purge.add({ client: "last" });
    await purge.run();
    expect(kept()[0]).toBe(90);
    purge.add({ client: "last" });
    await purge.run();
    expect(kept()[0]).toBe(SHARED);
  });
});
