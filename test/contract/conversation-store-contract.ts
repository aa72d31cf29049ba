import { afterEach, describe, expect, it } from "vitest";
import type { Turn } from "../../src/core/fit-prompt.ts";
import { contextContract } from "./conversation-store-contexts.ts";
import {
  anonymous,
  KIB,
  subject,
  type ConversationStoreOptions,
  type ConversationStoreUnderTest,
} from "./conversation-store-subject.ts";

const roomy: ConversationStoreOptions = {
  historyBudgetBytes: 10_000 * KIB,
  reservedShare: 0,
  maxHistoryBytes: 1000 * KIB,
  historyTtlMs: 600_000,
  contextBudgetBytes: 10_000 * KIB,
  anonymousContextBudgetBytes: 10_000 * KIB,
  maxConversationsPerClient: 100,
};

/** Maximum delay of a sweep of histories. */
const SWEEP_MS = 61_000;

const ada = subject("ada");
const bob = subject("bob");

function exchange(question: string, answer = "ok"): Turn[] {
  return [
    { role: "user", content: question },
    { role: "assistant", content: answer },
  ];
}

/** Runs the contract suite of `ConversationStore` on one implementation. */
export function conversationStoreContract(
  name: string,
  make: (options: ConversationStoreOptions) => Promise<ConversationStoreUnderTest>,
): void {
  describe(`ConversationStore: ${name}`, () => {
    const open: ConversationStoreUnderTest[] = [];
    const start = async (changes: Partial<ConversationStoreOptions> = {}) => {
      const made = await make({ ...roomy, ...changes });
      open.push(made);
      return made;
    };

    afterEach(async () => {
      for (const each of open.splice(0)) await each.close?.();
    });

    describe("histories", () => {
      it("contain the turns in order, by client and conversation", async () => {
        const { store } = await start();
        await store.append(ada, "one", exchange("1"));
        await store.append(ada, "one", exchange("2"));
        await store.append(ada, "two", exchange("3"));
        expect(await store.turns(ada.client, "one")).toEqual([...exchange("1"), ...exchange("2")]);
        expect(await store.turns(ada.client, "two")).toEqual(exchange("3"));
        expect(await store.turns(ada.client, "three")).toEqual([]);
      });

      it("are never returned to another client, for any combination of names (trap 26)", async () => {
        const { store } = await start();
        const tricky = subject("x y");
        await store.append(tricky, "c", exchange("secret"));
        await store.append(ada, "c", exchange("ada's"));
        for (const [client, conversation] of [
          ["sub:bob", "c"],
          ["sub:x", "c"],
          ["sub:x  y", "c"],
          ["y", "c"],
          ["x y", "c-sub"],
          ["sub:ADA", "c"],
          ["anon:ada", "c"],
        ] as const) {
          expect(await store.turns(client, conversation)).toEqual([]);
        }
        expect(await store.turns(tricky.client, "c")).toEqual(exchange("secret"));
      });

      it("do not change after they were returned", async () => {
        const { store } = await start();
        await store.append(ada, "c", exchange("1"));
        const read = await store.turns(ada.client, "c");
        await store.append(ada, "c", exchange("2"));
        await store.clear(ada.client, "c");
        expect(read).toEqual(exchange("1"));
      });

      it("count the memory of every turn, however short it is", async () => {
        const { store, historyBytes } = await start();
        const before = historyBytes();
        const pairs = 100;
        for (let pair = 0; pair < pairs; pair++) {
          await store.append(subject("a"), "c", [
            { role: "user", content: "x" },
            { role: "assistant", content: "y" },
          ]);
        }
        expect(historyBytes() - before).toBeGreaterThan(2 * pairs * 50);
      });

      it("are cleared without effect on other conversations and the context", async () => {
        const { store, historyBytes } = await start();
        const empty = historyBytes();
        await store.setContext(ada, "context");
        await store.append(ada, "one", exchange("1"));
        await store.append(ada, "two", exchange("2"));
        await store.clear(ada.client, "one");
        await store.clear(ada.client, "never there");
        expect(await store.turns(ada.client, "one")).toEqual([]);
        expect(await store.turns(ada.client, "two")).toEqual(exchange("2"));
        expect(await store.context(ada.client)).toBe("context");
        await store.clear(ada.client, "two");
        expect(historyBytes()).toBe(empty);
      });

      it("expire individually when unused for their time to live", async () => {
        const { store, pass, historyBytes } = await start({ historyTtlMs: 600_000 });
        const empty = historyBytes();
        await store.append(ada, "old", exchange("1"));
        await store.append(ada, "read", exchange("2"));
        await pass(400_000);
        expect(await store.turns(ada.client, "read")).toEqual(exchange("2"));
        await store.append(ada, "young", exchange("3"));
        await pass(200_000 + SWEEP_MS);
        expect(await store.turns(ada.client, "old")).toEqual([]);
        expect(await store.turns(ada.client, "read")).toEqual(exchange("2"));
        await pass(600_000 + SWEEP_MS);
        expect(historyBytes()).toBe(empty);
      });

      it("are limited in number per client; the least recently used one of that client is evicted", async () => {
        const { store } = await start({ maxConversationsPerClient: 3 });
        await store.append(bob, "c0", exchange("bob"));
        for (const each of ["c0", "c1", "c2"]) await store.append(ada, each, exchange(each));
        await store.turns(ada.client, "c0");
        await store.append(ada, "c3", exchange("c3"));
        expect(await store.turns(ada.client, "c1")).toEqual([]);
        for (const each of ["c0", "c2", "c3"]) {
          expect(await store.turns(ada.client, each)).toEqual(exchange(each));
        }
        expect(await store.turns(bob.client, "c0")).toEqual(exchange("bob"));
      });

      it("stay within their budget: the least recently used one of the largest owner is evicted", async () => {
        const budget = 100 * KIB;
        const { store, historyBytes } = await start({ historyBudgetBytes: budget });
        await store.append(bob, "kept", exchange("bob", "x".repeat(5 * KIB)));
        for (let index = 0; index < 60; index++) {
          await store.append(ada, `c${index}`, exchange("q", "x".repeat(5 * KIB)));
          expect(historyBytes()).toBeLessThanOrEqual(budget);
          // The first conversation stays in use.
          expect(await store.turns(ada.client, "c0")).not.toEqual([]);
        }
        expect(await store.turns(bob.client, "kept")).not.toEqual([]);
        expect(await store.turns(ada.client, "c59")).not.toEqual([]);
        expect(await store.turns(ada.client, "c1")).toEqual([]);
      });

      it("of subjects are never evicted for anonymous clients, from however many networks", async () => {
        const { store, historyBytes } = await start({ historyBudgetBytes: 100 * KIB, reservedShare: 1 / 4 });
        const text = "x".repeat(4 * KIB);
        for (let index = 0; index < 16; index++) await store.append(ada, `c${index}`, exchange("q", text));
        for (let index = 0; index < 200; index++) {
          const address = `2001:db8:${(index >> 2).toString(16)}:${index.toString(16)}::/64`;
          await store.append(anonymous(`a${index}`, address), "c", exchange("q", text));
          expect(historyBytes()).toBeLessThanOrEqual(100 * KIB);
        }
        for (let index = 0; index < 16; index++) {
          expect(await store.turns(ada.client, `c${index}`)).not.toEqual([]);
        }
        // Anonymous clients have the rest, and at least their reserved share, even against a flood of subjects.
        expect(await store.turns("anon:a199", "c")).not.toEqual([]);
        for (let index = 0; index < 60; index++) {
          await store.append(subject(`s${index}`), "c", exchange("q", text));
        }
        expect(await store.turns("anon:a199", "c")).not.toEqual([]);
      });

      it("of many addresses of one network are evicted before those of another network", async () => {
        const { store } = await start({ historyBudgetBytes: 100 * KIB });
        const text = "x".repeat(8 * KIB);
        for (const [name, address] of [
          ["home", "192.0.2.1"],
          ["away", "2001:db8:2:3::/64"],
        ] as const) {
          for (let index = 0; index < 3; index++) {
            await store.append(anonymous(name, address), `c${index}`, exchange("q", text));
          }
        }
        for (let index = 0; index < 300; index++) {
          const address = `2001:db8:1:${index.toString(16)}::/64`;
          await store.append(anonymous(`a${index}`, address), "c", exchange("q", text));
          await store.append(anonymous(`b${index}`, `198.51.100.${index % 256}`), "c", exchange("q", text));
        }
        for (let index = 0; index < 3; index++) {
          expect(await store.turns("anon:home", `c${index}`)).not.toEqual([]);
          expect(await store.turns("anon:away", `c${index}`)).not.toEqual([]);
        }
      });

      it("keep the newest turns of a growing conversation, without evicting other clients' conversations", async () => {
        const budget = 256 * KIB;
        const { store, historyBytes } = await start({
          historyBudgetBytes: budget,
          maxHistoryBytes: budget / 8,
        });
        await store.append(bob, "kept", exchange("bob", "x".repeat(10 * KIB)));
        for (let index = 0; index < 100; index++) {
          await store.append(ada, "flood", exchange(`q${index}`, "x".repeat(4 * KIB)));
          const turns = await store.turns(ada.client, "flood");
          // The remaining turns are a suffix that starts with a question and ends with the newest exchange.
          expect(turns.at(-2)?.content).toBe(`q${index}`);
          expect(turns[0]?.role).toBe("user");
          expect(turns.length % 2).toBe(0);
          expect(historyBytes()).toBeLessThanOrEqual(budget);
        }
        expect(await store.turns(bob.client, "kept")).not.toEqual([]);
        expect((await store.turns(ada.client, "flood")).length).toBeGreaterThan(2);
      });

      it("store an exchange that exceeds the limit of a conversation as a whole", async () => {
        const { store } = await start({ maxHistoryBytes: 8 * KIB });
        const large = exchange("q", "x".repeat(20 * KIB));
        await store.append(ada, "c", exchange("before"));
        await store.append(ada, "c", large);
        expect(await store.turns(ada.client, "c")).toEqual(large);
      });
    });

    contextContract(start);

    it("deletes everything of one client, and nothing of others", async () => {
      const { store } = await start();
      for (const owner of [ada, bob]) {
        await store.setContext(owner, "context");
        await store.append(owner, "one", exchange("1"));
        await store.append(owner, "two", exchange("2"));
      }
      await store.forgetClient(ada.client);
      await store.forgetClient("sub:nobody");
      expect(await store.context(ada.client)).toBeNull();
      expect(await store.turns(ada.client, "one")).toEqual([]);
      expect(await store.turns(ada.client, "two")).toEqual([]);
      expect(await store.context(bob.client)).toBe("context");
      expect(await store.turns(bob.client, "two")).toEqual(exchange("2"));
    });

    describe("ids of messages", () => {
      const key = { client: "sub:ada", accountKey: "sub:ada", conversation: "c", id: "i" };

      it("belong to the first frame; the same frame joins it, and a different one is a conflict", async () => {
        const { store } = await start();
        expect(await store.claim(key, "hash", "a1")).toEqual({ kind: "new" });
        expect(await store.claim(key, "hash", "a2")).toEqual({ kind: "join", answer: "a1" });
        expect(await store.claim(key, "other", "a3")).toEqual({ kind: "conflict" });
      });

      it("are claimed by exactly one of many simultaneous claims", async () => {
        const { store } = await start();
        const claims = await Promise.all(
          Array.from({ length: 100 }, (_, index) => store.claim(key, "hash", `a${index}`)),
        );
        expect(claims.filter(({ kind }) => kind === "new")).toHaveLength(1);
        const winner = claims.findIndex(({ kind }) => kind === "new");
        for (const claim of claims) {
          if (claim.kind !== "new") expect(claim).toEqual({ kind: "join", answer: `a${winner}` });
        }
      });

      it("are separate by client and conversation, for any combination of names", async () => {
        const { store } = await start();
        const others = [
          key,
          { ...key, client: "sub:bob" },
          { ...key, conversation: "d" },
          { ...key, id: "j" },
          { ...key, id: "i " },
          { ...key, client: 'ada"', conversation: "c", id: 'i","sub:' },
          { ...key, client: "sub:", id: "i ada" },
        ];
        for (const each of others) expect(await store.claim(each, "hash", "a")).toEqual({ kind: "new" });
      });

      it("of subjects are not dropped for anonymous clients; the oldest one of a crowded network is", async () => {
        const { store } = await start({ reservedShare: 1 / 4 });
        for (let index = 0; index < 5000; index++) {
          if (index % 10 === 0 && index < 1000) {
            await store.claim({ ...key, id: `s${index}` }, "hash", "a");
            await store.settle({ ...key, id: `s${index}` }, "a", 600_000);
          }
          const flood = {
            client: `anon:${index}`,
            accountKey: `addr:198.51.${index >> 8}.${index & 255}`,
            conversation: "c",
            id: "i",
          };
          await store.claim(flood, "hash", "a");
          await store.settle(flood, "a", 600_000);
        }
        for (let index = 0; index < 1000; index += 10) {
          const claim = await store.claim({ ...key, id: `s${index}` }, "hash", "b");
          expect(claim).toEqual({ kind: "join", answer: "a" });
        }
        const first = { client: "anon:0", accountKey: "addr:198.51.0.0", conversation: "c", id: "i" };
        expect(await store.claim(first, "hash", "b")).toEqual({ kind: "new" });
      });

      it("stay for the given time after the end, and are freed only by their own answer", async () => {
        const { store, pass } = await start();
        await store.claim(key, "hash", "a1");
        await store.settle(key, "a2", 0);
        await pass(100_000);
        expect(await store.claim(key, "hash", "a2")).toEqual({ kind: "join", answer: "a1" });
        await store.settle(key, "a1", 5000);
        await pass(4000);
        expect((await store.claim(key, "other", "a2")).kind).toBe("conflict");
        await pass(2500);
        expect(await store.claim(key, "other", "a2")).toEqual({ kind: "new" });
        await store.settle(key, "a2", 0);
        expect(await store.claim(key, "hash", "a3")).toEqual({ kind: "new" });
      });
    });

    it("leases a conversation to one holder at a time, in order, and others in parallel", async () => {
      const { store, pass } = await start();
      const log: string[] = [];
      const releases: (() => void)[] = [];
      const take = async (label: string, client: string, conversation: string) => {
        releases.push(await store.lease(client, conversation, 60_000));
        log.push(label);
      };
      const works = [
        take("a", "sub:ada", "c"),
        take("b", "sub:ada", "c"),
        take("c", "sub:ada", "d"),
        take("d", "sub:bob", "c"),
      ];
      await pass(10);
      expect(log.toSorted()).toEqual(["a", "c", "d"]);
      releases[log.indexOf("a")]?.();
      await pass(10);
      expect(log.at(-1)).toBe("b");
      for (const release of releases) release();
      await Promise.all(works);
    });
  });
}
