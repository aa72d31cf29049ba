import { describe, expect, it } from "vitest";
import type { AnswerMeta, AnswerWriter } from "../../src/chat/answer-log.ts";
import { ServiceError } from "../../src/core/errors.ts";
import { done, found, metaOf, type AnswerLogOptions, type AnswerLogUnderTest } from "./answer-log-subject.ts";

/** Maximum delay of a sweep. */
const SWEEP_MS = 1500;

/** The part of the `AnswerLog` suite about ownership, retention and memory. */
export function retentionContract(
  start: (changes?: Partial<AnswerLogOptions>) => Promise<AnswerLogUnderTest>,
): void {
  it("finds an answer only for its owner (trap 26)", async () => {
    const { log } = await start();
    const meta = metaOf();
    log.create(meta).append("secret");
    expect(await log.find("sub:b", meta.answer)).toBeUndefined();
    expect(await log.find("sub:a ", meta.answer)).toBeUndefined();
    expect(await log.find("sub:a", "answer")).toBeUndefined();
    expect((await found(log, meta)).read(0)).toBe("secret");
  });

  it("keeps a running answer without limit and a finished one for its retention time, then frees its memory", async () => {
    const { log, pass, bytes } = await start({ retentionMs: 2000 });
    const before = bytes();
    const meta = metaOf();
    const writer = log.create(meta);
    writer.append("text");
    await pass(10_000);
    await found(log, meta);
    writer.finish(done);
    await pass(1900);
    expect((await found(log, meta)).read(0)).toBe("text");
    await pass(100 + SWEEP_MS);
    expect(await log.find(meta.client, meta.answer)).toBeUndefined();
    expect(bytes()).toBe(before);
  });

  it("evicts finished answers of the owner that holds most, never running ones or those of smaller owners", async () => {
    const { log, bytes } = await start({ budgetBytes: 60_000 });
    const small = metaOf({ client: "sub:small", accountKey: "sub:small" });
    const kept = log.create(small);
    kept.append("kept");
    kept.finish(done);
    const running = metaOf({ client: "sub:flood", accountKey: "sub:flood" });
    log.create(running).append("running");
    const flood: AnswerMeta[] = [];
    for (let index = 0; index < 40; index++) {
      const meta = metaOf({ client: "sub:flood", accountKey: "sub:flood" });
      flood.push(meta);
      const writer = log.create(meta);
      writer.append("x".repeat(5000));
      expect(bytes()).toBeLessThanOrEqual(60_000);
      writer.finish(done);
    }
    expect((await found(log, small)).read(0)).toBe("kept");
    expect((await found(log, running)).read(0)).toBe("running");
    expect(await log.find("sub:flood", (flood[0] as AnswerMeta).answer)).toBeUndefined();
    await found(log, flood.at(-1) as AnswerMeta);
  });

  it("counts the results of commands as memory", async () => {
    const { log, bytes } = await start({ budgetBytes: 100_000 });
    for (let index = 0; index < 20; index++) {
      const writer = log.create(metaOf({ command: "getcontext" }));
      const result = { status: "success", context: "é".repeat(10_000) } as const;
      writer.finish({ type: "command", command: "getcontext", result });
    }
    log.create(metaOf());
    expect(bytes()).toBeLessThanOrEqual(100_000);
    expect(bytes()).toBeGreaterThan(40_000);
  });

  it("refuses a new answer while running ones fill the memory, and accepts it afterwards", async () => {
    const { log, pass } = await start({ budgetBytes: 30_000, retentionMs: 1000 });
    const first = log.create(metaOf());
    first.append("x".repeat(29_000));
    let thrown: unknown;
    try {
      for (let index = 0; index < 40; index++) log.create(metaOf());
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(ServiceError);
    expect((thrown as ServiceError).report()).toMatchObject({ code: "overloaded", retryable: true });
    expect((thrown as ServiceError).retryAfterMs).toBeGreaterThan(0);
    first.finish(done);
    await pass(1);
    log.create(metaOf());
  });

  it("bounds all running answers: refuses new ones early, and refuses growth at the budget", async () => {
    const { log, bytes } = await start({ budgetBytes: 100_000 });
    const writers = Array.from({ length: 10 }, () => log.create(metaOf()));
    const full = new Set<number>();
    for (let round = 0; round < 40; round++) {
      for (const [index, writer] of writers.entries()) {
        if (!full.has(index) && !writer.append("x".repeat(500))) full.add(index);
        expect(bytes()).toBeLessThanOrEqual(100_000);
      }
      if (bytes() > 80_000) expect(() => log.create(metaOf())).toThrow(ServiceError);
    }
    expect(full.size).toBe(10);
    for (const { reader } of writers) expect(reader.length % 500).toBe(0);
    for (const writer of writers) writer.finish(done);
    // Finished answers can be evicted at once.
    expect(log.create(metaOf()).append("x".repeat(5000))).toBe(true);
    expect(bytes()).toBeLessThanOrEqual(100_000);
  });

  it("retains and counts an expired answer while it has subscribers", async () => {
    const { log, pass, bytes } = await start({ retentionMs: 2000 });
    const before = bytes();
    const meta = metaOf();
    const writer = log.create(meta);
    const stop = writer.reader.subscribe(() => {});
    writer.append("text");
    writer.finish(done);
    await pass(10_000);
    expect(writer.reader.read(0)).toBe("text");
    expect(bytes()).toBeGreaterThan(before);
    stop();
    await pass(2000 + SWEEP_MS);
    expect(await log.find(meta.client, meta.answer)).toBeUndefined();
    expect(bytes()).toBe(before);
  });

  it("notifies the subscribers of an evicted answer", async () => {
    const { log } = await start({ budgetBytes: 50_000 });
    const first = log.create(metaOf());
    first.append("x".repeat(20_000));
    first.finish(done);
    let calls = 0;
    first.reader.subscribe(() => calls++);
    expect(first.reader.evicted).toBe(false);
    const second = log.create(metaOf());
    expect(second.append("y".repeat(40_000))).toBe(true);
    expect(first.reader.evicted).toBe(true);
    expect(calls).toBe(1);
    expect(second.reader.evicted).toBe(false);
  });

  it("counts the message of a running answer until the answer ends", async () => {
    const { log, bytes } = await start({ budgetBytes: 1_000_000 });
    const before = bytes();
    const writer = log.create(metaOf(), 5000);
    expect(bytes() - before).toBeGreaterThanOrEqual(5000);
    writer.finish(done);
    expect(bytes() - before).toBeLessThan(5000);
  });

  it("refuses messages of an account or a network whose texts are too long in total, and no others", async () => {
    const { log } = await start({ budgetBytes: 1_000_000 });
    const fill = (accountKey: string): AnswerWriter[] => {
      const writers: AnswerWriter[] = [];
      expect(() => {
        for (let index = 0; index < 1000; index++) writers.push(log.create(metaOf({ accountKey }), 1000));
      }).toThrow(ServiceError);
      return writers;
    };
    const networks = Array.from({ length: 20 }, (_, index) => `addr:192.0.${index}`);
    for (const network of networks) {
      const [first] = fill(`${network}.1`);
      expect(() => log.create(metaOf({ accountKey: `${network}.1` }), 1000)).toThrow(ServiceError);
      first?.finish(done);
      log.create(metaOf({ accountKey: `${network}.1` }), 1000);
      // A message alone is always accepted, and so is the first one of any other address.
      log.create(metaOf({ accountKey: `${network}.2` }), 1000);
    }
    expect(() => log.create(metaOf({ accountKey: "addr:198.51.100.1" }), 30_000)).not.toThrow();
    expect(() => log.create(metaOf(), 30_000)).not.toThrow();
  });

  describe("with subjects and anonymous clients", () => {
    const anonymousMeta = (index: number) => {
      const accountKey = `addr:2001:db8:${(index >> 3).toString(16)}:${index.toString(16)}::/64`;
      return metaOf({ client: `anon:${index}`, accountKey });
    };

    it("evicts no answer of a subject for anonymous clients", async () => {
      const { log, bytes } = await start({ budgetBytes: 100_000, reservedShare: 1 / 4 });
      const kept = Array.from({ length: 8 }, () => metaOf());
      for (const meta of kept) {
        const writer = log.create(meta);
        writer.append("x".repeat(6000));
        writer.finish(done);
      }
      for (let index = 0; index < 100; index++) {
        const writer = log.create(anonymousMeta(index));
        writer.append("x".repeat(6000));
        writer.finish(done);
        expect(bytes()).toBeLessThanOrEqual(100_000);
      }
      for (const meta of kept) expect((await found(log, meta)).read(0)).toHaveLength(6000);
    });

    it("leaves room for the answers of one class while the other one uses all of its own", async () => {
      const { log, bytes } = await start({ budgetBytes: 200_000, reservedShare: 1 / 4 });
      for (const metaAt of [anonymousMeta, () => metaOf()]) {
        const writers: AnswerWriter[] = [];
        expect(() => {
          for (let index = 0; index < 1000; index++) writers.push(log.create(metaAt(index)));
        }).toThrow(ServiceError);
        expect(writers.length).toBeGreaterThan(25);
        // They grow until nothing is left for their class.
        for (const writer of writers) while (writer.append("x".repeat(1000)));
        expect(bytes()).toBeLessThanOrEqual(200_000);
      }
    });
  });
}
