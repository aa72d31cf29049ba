import fc from "../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { ServiceError } from "../../src/core/errors.ts";
import type { Principal } from "../../src/core/principal.ts";
import {
  anonymous,
  KIB,
  subject,
  type ConversationStoreOptions,
  type ConversationStoreUnderTest,
} from "./conversation-store-subject.ts";

const ada = subject("ada");
const bob = subject("bob");

async function expectRefused(work: Promise<void>): Promise<void> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(ServiceError);
  expect((error as ServiceError).code).toBe("context_refused");
}

/** The part of the `ConversationStore` suite about contexts. */
export function contextContract(
  start: (changes?: Partial<ConversationStoreOptions>) => Promise<ConversationStoreUnderTest>,
): void {
  describe("contexts", () => {
    it("are stored by client, replaced and cleared", async () => {
      const { store, contextBytes } = await start();
      const empty = contextBytes();
      expect(await store.context(ada.client)).toBeNull();
      await store.setContext(ada, "first");
      await store.setContext(ada, 'second "quoted"\n\0😀');
      await store.setContext(bob, "bob's");
      expect(await store.context(ada.client)).toBe('second "quoted"\n\0😀');
      expect(await store.context(bob.client)).toBe("bob's");
      await store.clearContext(ada.client);
      await store.clearContext(ada.client);
      expect(await store.context(ada.client)).toBeNull();
      await store.clearContext(bob.client);
      expect(contextBytes()).toBe(empty);
    });

    it("never expire", async () => {
      const { store, pass } = await start({ historyTtlMs: 1000 });
      await store.setContext(ada, "context");
      await pass(1_000_000);
      expect(await store.context(ada.client)).toBe("context");
    });

    it("of subjects are refused above an eighth of what is free; no stored one is evicted", async () => {
      const { store, contextBytes, setConnected } = await start({ contextBudgetBytes: 80 * KIB });
      const text = "x".repeat(9 * KIB);
      const first = subject("s0");
      await store.setContext(first, text);
      setConnected(first.client, false);
      await expectRefused(store.setContext(subject("late"), text));
      const kept: Principal[] = [];
      for (let index = 1; index <= 20; index++) {
        const client = subject(`s${index}`);
        await store.setContext(client, `${index}`.padEnd(2 * KIB));
        kept.push(client);
      }
      const before = contextBytes();
      await expectRefused(store.setContext(kept[0] as Principal, "y".repeat(60 * KIB)));
      expect(contextBytes()).toBe(before);
      expect(await store.context(first.client)).toBe(text);
      for (const [index, client] of kept.entries()) {
        expect(await store.context(client.client)).toBe(`${index + 1}`.padEnd(2 * KIB));
      }
      expect(await store.context("sub:late")).toBeNull();
      expect(await store.contextWasDropped(first.client)).toBe(false);
    });

    it("can be replaced by one of equal size, however full the budget is", async () => {
      const { store } = await start({ contextBudgetBytes: 80 * KIB });
      for (let index = 0; index < 200; index++) {
        await store.setContext(subject(`s${index}`), "x".repeat(50)).catch(() => {});
      }
      await store.setContext(subject("s0"), "y".repeat(50));
      expect(await store.context("sub:s0")).toBe("y".repeat(50));
    });

    it("have separate budgets for anonymous clients and subjects", async () => {
      const { store } = await start({
        contextBudgetBytes: 80 * KIB,
        anonymousContextBudgetBytes: 40 * KIB,
      });
      const text = "x".repeat(4 * KIB);
      for (let index = 0; index < 9; index++) {
        await store.setContext(anonymous(`a${index}`), text).catch(() => {});
      }
      await expectRefused(store.setContext(anonymous("late"), text));
      await store.setContext(ada, text);
    });

    it("of anonymous clients without a socket are dropped for new ones, those of the largest network first", async () => {
      const budget = 80 * KIB;
      const { store, contextBytes, setConnected } = await start({ anonymousContextBudgetBytes: budget });
      const text = "x".repeat(4 * KIB);
      const quiet = anonymous("quiet", "192.0.2.1");
      const present = anonymous("present", "198.51.100.250");
      for (const client of [quiet, present]) await store.setContext(client, text);
      setConnected(quiet.client, false);
      for (let index = 0; index < 100; index++) {
        const flood = anonymous(`f${index}`, `198.51.100.${index}`);
        await store.setContext(flood, text);
        setConnected(flood.client, false);
        expect(contextBytes()).toBeLessThanOrEqual(budget);
      }
      await store.setContext(anonymous("late", "203.0.113.1"), text);
      for (const client of [quiet, present]) {
        expect(await store.context(client.client)).toBe(text);
        expect(await store.contextWasDropped(client.client)).toBe(false);
      }
      expect(await store.context("anon:f0")).toBeNull();
      expect(await store.contextWasDropped("anon:f0")).toBe(true);
    });

    it("that were dropped are reported until the client sets or clears its context, or its session ends", async () => {
      const { store, setConnected } = await start({ anonymousContextBudgetBytes: 80 * KIB });
      const text = "x".repeat(4 * KIB);
      const lost = Array.from({ length: 3 }, (_, index) => anonymous(`lost${index}`));
      for (const client of lost) {
        await store.setContext(client, text.repeat(2));
        setConnected(client.client, false);
      }
      for (let index = 0; index < 40; index++) {
        const flood = anonymous(`f${index}`);
        await store.setContext(flood, text);
        setConnected(flood.client, false);
      }
      const dropped = () => Promise.all(lost.map(({ client }) => store.contextWasDropped(client)));
      expect(await dropped()).toEqual([true, true, true]);
      const [first, second, third] = lost as [Principal, Principal, Principal];
      await store.setContext(first, "again");
      await store.clearContext(second.client);
      await store.forgetClient(third.client);
      expect(await dropped()).toEqual([false, false, false]);
      expect(await store.context(first.client)).toBe("again");
    });

    it("of connected clients at many addresses of many networks leave room for another address", async () => {
      const { store, contextBytes, setConnected } = await start({ anonymousContextBudgetBytes: 1000 * KIB });
      const text = "x".repeat(4 * KIB);
      let taken = 0;
      for (let index = 0; index < 2000; index++) {
        // 250 addresses in each of eight networks.
        const flood = anonymous(`f${index}`, `198.51.${index % 8}.${index >> 3}`);
        await store.setContext(flood, text).then(
          () => taken++,
          () => {},
        );
      }
      expect(taken).toBeGreaterThan(100);
      await store.setContext(anonymous("late", "203.0.113.1"), text);
      expect(contextBytes()).toBeLessThanOrEqual(1000 * KIB);
      expect(await store.context("anon:f0")).toBe(text);
      setConnected("anon:f0", false);
      setConnected("anon:f0", true);
      expect(await store.context("anon:f0")).toBe(text);
    });

    it("of one address cannot fill the budget either if their clients leave and return", async () => {
      const { store, contextBytes, setConnected } = await start({ anonymousContextBudgetBytes: 80 * KIB });
      const text = "x".repeat(4 * KIB);
      const flood = Array.from({ length: 18 }, (_, index) => anonymous(`f${index}`, "198.51.100.1"));
      for (const client of flood) {
        await store.setContext(client, text);
        setConnected(client.client, false);
      }
      for (const { client } of flood) setConnected(client, true);
      expect(await store.context("anon:f0")).toBe(text);
      const others = Array.from({ length: 8 }, (_, index) => anonymous(`o${index}`, `203.0.${index}.1`));
      for (const client of others) await store.setContext(client, text);
      for (const { client } of others) expect(await store.context(client)).toBe(text);
      expect(contextBytes()).toBeLessThanOrEqual(80 * KIB);
      // Within the share of the address.
      expect(await store.context("anon:f0")).toBe(text);
      expect(await store.contextWasDropped("anon:f2")).toBe(true);
    });

    it("of anonymous clients that come and go are counted exactly, and kept until the last socket closes", async () => {
      const step = fc.record({
        act: fc.constantFrom("set", "clear", "leave", "return", "end" as const),
        client: fc.nat({ max: 11 }),
        bytes: fc.integer({ min: 0, max: 3 * KIB }),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 150 }), async (steps) => {
          const budget = 16 * KIB;
          const { store, contextBytes, setConnected } = await start({ anonymousContextBudgetBytes: budget });
          const texts = new Map<string, string>();
          const away = new Set<string>();
          /** Clients that have left since they set their context. */
          const left = new Set<string>();
          for (const [index, { act, client: number, bytes }] of steps.entries()) {
            const client = anonymous(`c${number}`, `192.0.${number % 3}.${number % 5}`);
            const key = client.client;
            if (act === "set") {
              const text = `${index}`.padEnd(bytes);
              await store.setContext(client, text).then(
                () => {
                  texts.set(key, text);
                  if (!away.has(key)) left.delete(key);
                },
                (error: unknown) => expect((error as ServiceError).code).toBe("context_refused"),
              );
            } else if (act === "leave" || act === "return") {
              setConnected(key, act === "return");
              if (act === "leave") for (const clients of [away, left]) clients.add(key);
              else away.delete(key);
            } else {
              texts.delete(key);
              await (act === "clear" ? store.clearContext(key) : store.forgetClient(key));
            }
            expect(contextBytes()).toBeLessThanOrEqual(budget);
            for (const [each, text] of texts) {
              const stored = await store.context(each);
              expect(await store.contextWasDropped(each)).toBe(stored === null);
              if (stored === null) expect(left.has(each)).toBe(true);
              else expect(stored).toBe(text);
              if (stored === null) texts.delete(each);
            }
          }
          for (const key of Array.from({ length: 12 }, (_, number) => `anon:c${number}`)) {
            await store.clearContext(key);
          }
          expect(contextBytes()).toBe(0);
        }),
        { numRuns: 40 },
      );
    });

    it("of one address cannot fill the whole budget", async () => {
      const { store } = await start({ anonymousContextBudgetBytes: 80 * KIB });
      const text = "x".repeat(4 * KIB);
      await store.setContext(anonymous("f0", "flood"), text);
      await store.setContext(anonymous("f1", "flood"), text);
      await expectRefused(store.setContext(anonymous("f2", "flood"), text));
      await store.setContext(anonymous("other"), text);
      await store.clearContext("anon:f0");
      await store.setContext(anonymous("f2", "flood"), text);
    });

    it("are charged to the address that set them, also when the client returns from another address", async () => {
      const { store } = await start({ anonymousContextBudgetBytes: 80 * KIB });
      const text = "x".repeat(4 * KIB);
      await store.setContext(anonymous("traveller", "home"), text);
      await store.setContext(anonymous("b1", "away"), text);
      await store.setContext(anonymous("b2", "away"), text);
      await expectRefused(store.setContext(anonymous("traveller", "away"), text));
      expect(await store.context("anon:traveller")).toBe(text);
      await store.clearContext("anon:b1");
      await store.setContext(anonymous("traveller", "away"), text);
      // The share of the first address is free again.
      await store.setContext(anonymous("h1", "home"), text);
      await store.setContext(anonymous("h2", "home"), text);
    });
  });
}
