import { afterEach, describe, expect, it } from "vitest";
import type { SessionRecord, SessionStore } from "../../src/chat/session-store.ts";

export interface SessionStoreOptions {
  readonly maxSessions: number;
  readonly retentionMs: number;
  /** Is to be told of each session that is gone for good. */
  ended(record: SessionRecord): void;
}

export interface SessionStoreUnderTest {
  readonly store: SessionStore;
  /** Lets `ms` milliseconds pass for the store. */
  pass(ms: number): Promise<void>;
  close?(): Promise<void>;
}

/** Sweeps may come this late. */
const SWEEP_MS = 1500;
const RETENTION_MS = 10_000;

const anyone = () => true;

function recordOf(name: string, accountKey = `addr:${name}`): SessionRecord {
  return {
    authenticated: false,
    client: `anon:${name}`,
    publicId: name,
    accountKey,
    ownConversation: `own-${name}`,
  };
}

/** Runs the suite of the port `SessionStore` on one implementation. */
export function sessionStoreContract(
  name: string,
  make: (options: SessionStoreOptions) => Promise<SessionStoreUnderTest>,
): void {
  describe(`${name} keeps the contract of SessionStore`, () => {
    const open: SessionStoreUnderTest[] = [];
    const start = async (maxSessions = 100) => {
      const ended: string[] = [];
      const options = { maxSessions, retentionMs: RETENTION_MS };
      const made = await make({ ...options, ended: ({ publicId }) => ended.push(publicId) });
      open.push(made);
      return { ...made, ended };
    };

    afterEach(async () => {
      for (const each of open.splice(0)) await each.close?.();
    });

    it("gives a session back by its hash, to whom `admit` lets", async () => {
      const { store } = await start();
      store.create("hash", recordOf("a"));
      expect(await store.attach("hash", anyone)).toEqual(recordOf("a"));
      expect(await store.attach("hash", ({ client }) => client === "anon:a")).toEqual(recordOf("a"));
      expect(await store.attach("hash", () => false)).toBeUndefined();
      expect(await store.attach("hash2", anyone)).toBeUndefined();
      expect(await store.attach("", anyone)).toBeUndefined();
    });

    it("keeps it while a socket is there, and for its time after the last one", async () => {
      const { store, pass, ended } = await start();
      store.create("hash", recordOf("a"));
      await store.attach("hash", anyone);
      store.detach("hash");
      await pass(10 * RETENTION_MS);
      expect(ended).toEqual([]);
      store.detach("hash");
      await pass(RETENTION_MS - 100);
      expect(await store.attach("hash", anyone)).toEqual(recordOf("a"));
      // Back again: the time begins anew with the next farewell.
      await pass(10 * RETENTION_MS);
      store.detach("hash");
      await pass(RETENTION_MS - 100);
      expect(ended).toEqual([]);
      await pass(100 + SWEEP_MS);
      expect(ended).toEqual(["a"]);
      expect(await store.attach("hash", anyone)).toBeUndefined();
    });

    it("does not count a refused attempt as a socket", async () => {
      const { store, pass, ended } = await start();
      store.create("hash", recordOf("a"));
      expect(await store.attach("hash", () => false)).toBeUndefined();
      store.detach("hash");
      await pass(RETENTION_MS + SWEEP_MS);
      expect(ended).toEqual(["a"]);
    });

    it("lets a refused attempt prolong nothing", async () => {
      const { store, pass, ended } = await start();
      store.create("hash", recordOf("a"));
      store.detach("hash");
      await pass(RETENTION_MS - 100);
      expect(await store.attach("hash", () => false)).toBeUndefined();
      await pass(100 + SWEEP_MS);
      expect(ended).toEqual(["a"]);
    });

    it("forgets a dropped session at once and says so once", async () => {
      const { store, pass, ended } = await start();
      store.create("hash", recordOf("a"));
      store.drop("hash");
      expect(ended).toEqual(["a"]);
      expect(await store.attach("hash", anyone)).toBeUndefined();
      store.drop("hash");
      store.detach("hash");
      await pass(10 * RETENTION_MS);
      expect(ended).toEqual(["a"]);
    });

    it("keeps a dropped session for the other sockets on it", async () => {
      const { store, pass, ended } = await start();
      store.create("hash", recordOf("a"));
      await store.attach("hash", anyone);
      store.drop("hash");
      await pass(10 * RETENTION_MS);
      expect(ended).toEqual([]);
      store.drop("hash");
      expect(ended).toEqual(["a"]);
    });

    it("is bounded: who has most gives the oldest without a socket, a flood takes nobody else's", async () => {
      const { store, ended } = await start(10);
      store.create("quiet", recordOf("quiet"));
      store.detach("quiet");
      store.create("connected", recordOf("connected", "addr:flood"));
      for (let index = 0; index < 50; index++) {
        store.create(`flood${index}`, recordOf(`flood${index}`, "addr:flood"));
        store.detach(`flood${index}`);
      }
      expect(ended).toEqual(Array.from({ length: 42 }, (_, index) => `flood${index}`));
      expect(await store.attach("quiet", anyone)).toEqual(recordOf("quiet"));
      expect(await store.attach("connected", anyone)).toEqual(recordOf("connected", "addr:flood"));
    });

    it("turns nobody away whose socket is there", async () => {
      const { store } = await start(3);
      for (let index = 0; index < 10; index++) store.create(`h${index}`, recordOf(`n${index}`));
      for (let index = 0; index < 10; index++) {
        expect(await store.attach(`h${index}`, anyone)).toEqual(recordOf(`n${index}`));
      }
    });
  });
}
