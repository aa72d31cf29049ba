import { afterEach, describe, expect, it } from "vitest";
import type { SessionRecord, SessionStore } from "../../src/chat/session-store.ts";

export interface SessionStoreOptions {
  readonly maxSessions: number;
  readonly retentionMs: number;
  /** Share of the sessions that is reserved for each class of accounts. */
  readonly reservedShare: number;
  /** Must be called for each session that is deleted for good. */
  ended(record: SessionRecord): void;
}

export interface SessionStoreUnderTest {
  readonly store: SessionStore;
  /** Lets `ms` milliseconds pass for the store. */
  pass(ms: number): Promise<void>;
  close?(): Promise<void>;
}

/** Maximum delay of a sweep. */
const SWEEP_MS = 1500;
const RETENTION_MS = 10_000;

const admitAll = () => true;

function recordOf(name: string, accountKey = `addr:${name}`): SessionRecord {
  return {
    authenticated: false,
    client: `anon:${name}`,
    publicId: name,
    accountKey,
    ownConversation: `own-${name}`,
  };
}

/** Runs the contract suite of `SessionStore` on one implementation. */
export function sessionStoreContract(
  name: string,
  make: (options: SessionStoreOptions) => Promise<SessionStoreUnderTest>,
): void {
  describe(`SessionStore: ${name}`, () => {
    const open: SessionStoreUnderTest[] = [];
    const start = async (maxSessions = 100, reservedShare = 0) => {
      const ended: string[] = [];
      const options = { maxSessions, reservedShare, retentionMs: RETENTION_MS };
      const made = await make({ ...options, ended: ({ publicId }) => ended.push(publicId) });
      open.push(made);
      return { ...made, ended };
    };

    afterEach(async () => {
      for (const each of open.splice(0)) await each.close?.();
    });

    it("returns a session by its hash if `admit` allows it", async () => {
      const { store } = await start();
      store.create("hash", recordOf("a"));
      expect(await store.attach("hash", admitAll)).toEqual(recordOf("a"));
      expect(await store.attach("hash", ({ client }) => client === "anon:a")).toEqual(recordOf("a"));
      expect(await store.attach("hash", () => false)).toBeUndefined();
      expect(await store.attach("hash2", admitAll)).toBeUndefined();
      expect(await store.attach("", admitAll)).toBeUndefined();
    });

    it("keeps a session while it has a socket, and for the retention time after the last one", async () => {
      const { store, pass, ended } = await start();
      store.create("hash", recordOf("a"));
      await store.attach("hash", admitAll);
      store.detach("hash");
      await pass(10 * RETENTION_MS);
      expect(ended).toEqual([]);
      store.detach("hash");
      await pass(RETENTION_MS - 100);
      expect(await store.attach("hash", admitAll)).toEqual(recordOf("a"));
      // The retention time starts again with the next detach.
      await pass(10 * RETENTION_MS);
      store.detach("hash");
      await pass(RETENTION_MS - 100);
      expect(ended).toEqual([]);
      await pass(100 + SWEEP_MS);
      expect(ended).toEqual(["a"]);
      expect(await store.attach("hash", admitAll)).toBeUndefined();
    });

    it("does not count a refused attach as a socket", async () => {
      const { store, pass, ended } = await start();
      store.create("hash", recordOf("a"));
      expect(await store.attach("hash", () => false)).toBeUndefined();
      store.detach("hash");
      await pass(RETENTION_MS + SWEEP_MS);
      expect(ended).toEqual(["a"]);
    });

    it("does not prolong the retention time by a refused attach", async () => {
      const { store, pass, ended } = await start();
      store.create("hash", recordOf("a"));
      store.detach("hash");
      await pass(RETENTION_MS - 100);
      expect(await store.attach("hash", () => false)).toBeUndefined();
      await pass(100 + SWEEP_MS);
      expect(ended).toEqual(["a"]);
    });

    it("deletes a dropped session at once and reports it once", async () => {
      const { store, pass, ended } = await start();
      store.create("hash", recordOf("a"));
      store.drop("hash");
      expect(ended).toEqual(["a"]);
      expect(await store.attach("hash", admitAll)).toBeUndefined();
      store.drop("hash");
      store.detach("hash");
      await pass(10 * RETENTION_MS);
      expect(ended).toEqual(["a"]);
    });

    it("keeps a dropped session while other sockets use it", async () => {
      const { store, pass, ended } = await start();
      store.create("hash", recordOf("a"));
      await store.attach("hash", admitAll);
      store.drop("hash");
      await pass(10 * RETENTION_MS);
      expect(ended).toEqual([]);
      store.drop("hash");
      expect(ended).toEqual(["a"]);
    });

    it("evicts the oldest session without a socket of the largest owner, so a flood only evicts its own", async () => {
      const { store, ended } = await start(10);
      store.create("quiet", recordOf("quiet"));
      store.detach("quiet");
      store.create("connected", recordOf("connected", "addr:flood"));
      for (let index = 0; index < 50; index++) {
        store.create(`flood${index}`, recordOf(`flood${index}`, "addr:flood"));
        store.detach(`flood${index}`);
      }
      expect(ended).toEqual(Array.from({ length: 42 }, (_, index) => `flood${index}`));
      expect(await store.attach("quiet", admitAll)).toEqual(recordOf("quiet"));
      expect(await store.attach("connected", admitAll)).toEqual(recordOf("connected", "addr:flood"));
    });

    it("never evicts sessions with a socket", async () => {
      const { store } = await start(3);
      for (let index = 0; index < 10; index++) store.create(`h${index}`, recordOf(`n${index}`));
      for (let index = 0; index < 10; index++) {
        expect(await store.attach(`h${index}`, admitAll)).toEqual(recordOf(`n${index}`));
      }
    });

    it("drops no session of a subject for anonymous ones, and keeps the reserved share of both", async () => {
      const { store, ended } = await start(100, 1 / 4);
      const subjectOf = (name: string): SessionRecord => ({
        ...recordOf(name, `sub:${name}`),
        authenticated: true,
        client: `sub:${name}`,
      });
      for (let index = 0; index < 75; index++) {
        store.create(`s${index}`, subjectOf(`s${index}`));
        store.detach(`s${index}`);
      }
      for (let index = 0; index < 500; index++) {
        const address = `addr:2001:db8:${(index >> 3).toString(16)}:${index.toString(16)}::/64`;
        store.create(`a${index}`, recordOf(`a${index}`, address));
        store.detach(`a${index}`);
      }
      expect(ended.filter((name) => name.startsWith("s"))).toEqual([]);
      expect(ended).toHaveLength(475);
      // One more subject takes the place of a subject, not that of the 25 anonymous sessions.
      store.create("late", subjectOf("late"));
      expect(ended.slice(475)).toEqual([expect.stringMatching(/^s\d+$/)]);
    });
  });
}
