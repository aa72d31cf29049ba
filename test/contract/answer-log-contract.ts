import fc from "../support/property-tests.ts";
import { afterEach, describe, expect, it } from "vitest";
import type { AnswerLog } from "../../src/chat/answer-log.ts";
import { retentionContract } from "./answer-log-retention.ts";
import { done, found, metaOf, type AnswerLogOptions, type AnswerLogUnderTest } from "./answer-log-subject.ts";

const roomy: AnswerLogOptions = {
  maxAnswerBytes: 100_000,
  budgetBytes: 10_000_000,
  retentionMs: 10_000,
  reservedShare: 0,
};
/** Whole characters of one to four bytes, and combined ones. */
const text = fc.string({
  unit: fc.constantFrom("a", "é", "€", "😀", "👩‍👩‍👧", "\0", "\n", '"', "\\", "\u2028"),
  maxLength: 12,
});

function bytesOf(content: string): Buffer {
  return Buffer.from(content);
}

function isBoundary(content: string, offset: number): boolean {
  const bytes = bytesOf(content);
  return offset === bytes.length || ((bytes[offset] as number) & 0xc0) !== 0x80;
}

/** Runs the contract suite of `AnswerLog` on one implementation. */
export function answerLogContract(
  name: string,
  make: (options: AnswerLogOptions) => Promise<AnswerLogUnderTest>,
): void {
  describe(`AnswerLog: ${name}`, () => {
    const open: AnswerLogUnderTest[] = [];
    const start = async (changes: Partial<AnswerLogOptions> = {}) => {
      const made = await make({ ...roomy, ...changes });
      open.push(made);
      return made;
    };

    afterEach(async () => {
      for (const each of open.splice(0)) await each.close?.();
    });

    it("creates an empty, running answer", async () => {
      const { log } = await start();
      const meta = metaOf({ command: "help" });
      const { reader } = log.create(meta);
      expect(reader).toMatchObject({ meta, length: 0, status: null, events: [], outcome: null });
      expect(reader.read(0)).toBe("");
      expect(reader.boundary(5)).toBe(0);
      expect((await found(log, meta)).meta).toEqual(meta);
    });

    it("returns exactly the rest of the text from any boundary, in whole characters", async () => {
      const { log } = await start();
      fc.assert(
        fc.property(
          fc.array(text, { maxLength: 30 }),
          fc.array(fc.nat()),
          fc.boolean(),
          (chunks, picks, ends) => {
            const writer = log.create(metaOf());
            const { reader } = writer;
            const offsets = [0];
            let whole = "";
            for (const chunk of chunks) {
              expect(writer.append(chunk)).toBe(true);
              whole += chunk;
              expect(reader.length).toBe(bytesOf(whole).length);
              offsets.push(reader.length);
            }
            if (ends) writer.finish(done);
            for (const pick of picks) offsets.push(reader.boundary(pick % (reader.length + 3)));
            for (const offset of offsets) {
              expect(isBoundary(whole, offset)).toBe(true);
              const rest = reader.read(offset);
              expect(rest).toBe(bytesOf(whole).toString("utf8", offset));
              expect(offset + bytesOf(rest).length).toBe(reader.length);
            }
            writer.finish(done);
          },
        ),
      );
    });

    it("moves any offset back to the nearest boundary, at most to the end", async () => {
      const { log } = await start();
      fc.assert(
        fc.property(fc.array(text, { maxLength: 10 }), (chunks) => {
          const writer = log.create(metaOf());
          for (const chunk of chunks) writer.append(chunk);
          const whole = chunks.join("");
          for (let offset = -2; offset <= writer.reader.length + 3; offset++) {
            const boundary = writer.reader.boundary(offset);
            expect(isBoundary(whole, boundary)).toBe(true);
            const wanted = Math.min(Math.max(offset, 0), writer.reader.length);
            expect(boundary).toBeLessThanOrEqual(wanted);
            for (let between = boundary + 1; between <= wanted; between++) {
              expect(isBoundary(whole, between)).toBe(false);
            }
          }
          writer.finish(done);
        }),
      );
    });

    it("refuses text over the limit of an answer as a whole, and still accepts text that fits", async () => {
      const { log } = await start({ maxAnswerBytes: 10 });
      const { append, reader } = bound(log.create(metaOf()));
      expect(append("12345678")).toBe(true);
      expect(append("€")).toBe(false);
      expect(reader.read(0)).toBe("12345678");
      expect(append("é")).toBe(true);
      expect(append("")).toBe(true);
      expect(append("x")).toBe(false);
      expect(reader.length).toBe(10);
    });

    it("keeps reasoning apart from the text, with offsets of its own", async () => {
      const { log } = await start();
      const meta = metaOf();
      const writer = log.create(meta);
      expect(writer.reader.reasoning.length).toBe(0);
      let changes = 0;
      writer.reader.subscribe(() => changes++);
      for (const piece of ["Hm", "", " 😀"]) expect(writer.appendReasoning(piece)).toBe(true);
      writer.append("Hi");
      expect(changes).toBe(3);
      const { reasoning, length } = await found(log, meta);
      expect([length, reasoning.length, reasoning.read(0), reasoning.read(2, 3)]).toEqual([
        2,
        7,
        "Hm 😀",
        " ",
      ]);
      expect([reasoning.boundary(5), reasoning.boundary(99)]).toEqual([3, 7]);
      writer.finish(done);
      expect(writer.appendReasoning("late")).toBe(true);
      expect(writer.reader.reasoning.read(0)).toBe("Hm 😀");
      expect(writer.reader.read(0)).toBe("Hi");
    });

    it("counts reasoning in the limit of an answer and in the memory of all", async () => {
      const { log, bytes, pass } = await start({ maxAnswerBytes: 10, retentionMs: 2000 });
      const before = bytes();
      const writer = log.create(metaOf());
      const empty = bytes();
      expect(writer.appendReasoning("123456")).toBe(true);
      expect(writer.append("12345")).toBe(false);
      expect(writer.append("1234")).toBe(true);
      expect(writer.appendReasoning("7")).toBe(false);
      expect(bytes() - empty).toBe(10);
      writer.finish(done);
      await pass(2000 + 1500);
      expect(bytes()).toBe(before);
    });

    it("records events with the offset of the text at that time", async () => {
      const { log } = await start();
      const writer = log.create(metaOf());
      const event = {
        type: "fallback",
        fromProvider: "local",
        toProvider: "openai",
        phase: "mid_stream",
        reason: "it crashed",
      } as const;
      writer.addEvent(event);
      writer.append("é");
      writer.addEvent(event);
      expect(writer.reader.events).toEqual([
        { ...event, offset: 0 },
        { ...event, offset: 2 },
      ]);
    });

    it("keeps only the last status, and none after text or the end", async () => {
      const { log } = await start();
      const writer = log.create(metaOf());
      const queued = { type: "queued", reason: "engine", position: 2 } as const;
      writer.setStatus(queued);
      expect(writer.reader.status).toEqual(queued);
      const progress = { type: "progress", processed: 1, total: 2 } as const;
      writer.setStatus(progress);
      expect(writer.reader.status).toEqual(progress);
      writer.append("x");
      expect(writer.reader.status).toBeNull();
      writer.setStatus(queued);
      writer.finish(done);
      expect(writer.reader.status).toBeNull();
    });

    it("calls subscribers synchronously on each change, until they unsubscribe", async () => {
      const { log } = await start();
      const writer = log.create(metaOf());
      const seen: string[] = [];
      const stop = writer.reader.subscribe(() => seen.push(`first ${writer.reader.length}`));
      writer.reader.subscribe(() => {
        if (writer.reader.outcome !== null) seen.push("end");
      });
      writer.append("ab");
      writer.setStatus({ type: "progress", processed: 1, total: 2 });
      stop();
      writer.append("c");
      writer.finish(done);
      expect(seen).toEqual(["first 2", "first 2", "end"]);
    });

    it("lets subscribers unsubscribe during a call", async () => {
      const { log } = await start();
      const writer = log.create(metaOf());
      const seen: string[] = [];
      const stopA = writer.reader.subscribe(() => {
        seen.push("a");
        stopA();
      });
      writer.reader.subscribe(() => seen.push("b"));
      writer.append("x");
      writer.append("y");
      expect(seen).toEqual(["a", "b", "b"]);
    });

    it("changes nothing and calls no subscriber after the end of the answer", async () => {
      const { log } = await start();
      const writer = log.create(metaOf());
      writer.append("é");
      writer.append("x");
      writer.finish(done);
      let calls = 0;
      writer.reader.subscribe(() => calls++);
      writer.append("more");
      writer.setStatus({ type: "progress", processed: 1, total: 2 });
      writer.addEvent({
        type: "fallback",
        fromProvider: "a",
        toProvider: "b",
        phase: "mid_stream",
        reason: "",
      });
      writer.finish({ type: "error", error: { code: "internal", message: "", retryable: true } });
      expect(writer.reader).toMatchObject({ length: 3, events: [], status: null, outcome: done });
      expect(writer.reader.read(2)).toBe("x");
      expect(calls).toBe(0);
    });

    retentionContract(start);
  });
}

/** The writer's methods without `this`. */
function bound(writer: ReturnType<AnswerLog["create"]>) {
  return { append: (content: string) => writer.append(content), reader: writer.reader };
}
