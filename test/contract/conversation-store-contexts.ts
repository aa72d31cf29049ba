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

    it("are refused when their budget is full; no stored one is evicted", async () => {
      const { store, contextBytes } = await start({ contextBudgetBytes: 80 * KIB });
      const text = "x".repeat(9 * KIB);
      const kept: Principal[] = [];
      for (let index = 0; index < 8; index++) {
        const client = subject(`s${index}`);
        await store.setContext(client, `${index}${text}`);
        kept.push(client);
      }
      const before = contextBytes();
      await expectRefused(store.setContext(subject("late"), text));
      await expectRefused(store.setContext(kept[0] as Principal, "y".repeat(60 * KIB)));
      expect(contextBytes()).toBe(before);
      for (const [index, client] of kept.entries()) {
        expect(await store.context(client.client)).toBe(`${index}${text}`);
      }
      expect(await store.context("sub:late")).toBeNull();
      // Clearing a context frees its share of the budget.
      await store.clearContext("sub:s3");
      await store.setContext(subject("late"), text);
    });

    it("can be replaced by one of equal size when the budget is full", async () => {
      const { store } = await start({ contextBudgetBytes: 80 * KIB });
      const text = "x".repeat(9 * KIB);
      for (let index = 0; index < 8; index++) await store.setContext(subject(`s${index}`), text);
      await store.setContext(subject("s0"), text.replaceAll("x", "y"));
      expect(await store.context("sub:s0")).toBe(text.replaceAll("x", "y"));
    });

    it("have separate budgets for anonymous clients and subjects", async () => {
      const { store } = await start({
        contextBudgetBytes: 80 * KIB,
        anonymousContextBudgetBytes: 40 * KIB,
      });
      const text = "x".repeat(4 * KIB);
      for (let index = 0; index < 9; index++) await store.setContext(anonymous(`a${index}`), text);
      await expectRefused(store.setContext(anonymous("late"), text));
      await store.setContext(ada, text);
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
