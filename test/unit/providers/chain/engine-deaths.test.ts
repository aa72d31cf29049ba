import { describe, expect, it } from "vitest";
import type { ScriptedCall } from "../../../support/scripted-provider.ts";
import { settle } from "../../../support/virtual-clock.ts";
import { chainBench, failure, type Reading } from "./chain-bench.ts";

const died = (name = "local") => failure(name, "engine_crashed");

/** Eight answers in the middle, by a message each. */
async function eight(bench: ReturnType<typeof chainBench>): Promise<Reading[]> {
  const readings = Array.from({ length: 8 }, (_, index) =>
    bench.ask({ turns: [{ role: "user", content: `m${index}` }] }),
  );
  await settle();
  for (const call of bench.back(0).calls) call.start().say("one ");
  await settle();
  return readings;
}

const messageOf = (call: ScriptedCall): string => call.request.turns.at(-1)?.content ?? "";
const running = (calls: readonly ScriptedCall[]) => calls.filter(({ stopped }) => !stopped);

describe("the death of the engine", () => {
  it("with nobody else left is followed by the engine itself, one suspect at a time, each with one notice", async () => {
    const bench = chainBench(["local"]);
    const readings = await eight(bench);
    const death = died();
    for (const call of bench.back(0).calls) call.fail(death);
    await settle();
    for (let left = 8; left > 0; left--) {
      const [call, ...more] = running(bench.back(0).calls);
      expect(more).toEqual([]);
      expect(call?.request.continueFrom).toBe("one ");
      expect(bench.metrics.read("suspects_waiting")).toBe(left - 1);
      call?.answer("two");
      await settle();
    }
    for (const reading of readings) {
      expect(reading.text()).toBe("one two");
      expect(reading.ended).toBeNull();
      expect(reading.fallbacks()).toMatchObject([
        { fromProvider: "local", toProvider: "local", phase: "mid_stream" },
      ]);
    }
    expect(bench.chain.status()[0]).toMatchObject({ breaker: "closed" });
  });

  it("goes to another provider while one is left, and only then to the engine again", async () => {
    const { ask, back } = chainBench(["local", "openai"]);
    const answer = ask();
    await settle();
    back(0).call.start().say("one ").fail(died());
    await settle();
    back(1).call.start().fail(failure("openai", "provider_unavailable"));
    await settle();
    back(0).call.answer("two");
    await settle();
    expect(answer.text()).toBe("one two");
    expect(answer.fallbacks()).toMatchObject([
      { fromProvider: "local", toProvider: "openai" },
      { fromProvider: "openai", toProvider: "local" },
    ]);
  });

  it("by a poisoned prompt ends that one after the second death, and everybody else is answered", async () => {
    const bench = chainBench(["local"]);
    const readings = await eight(bench);
    const poisoned = "m3";
    const first = died();
    for (const call of bench.back(0).calls) call.fail(first);
    await settle();
    let fresh: Reading | undefined;
    for (let turn = 0; turn < 20; turn++) {
      const calls = running(bench.back(0).calls);
      if (calls.length === 0) break;
      const guilty = calls.find((call) => messageOf(call) === poisoned);
      if (guilty && fresh === undefined) {
        // Somebody new comes while it runs, and meets its second death.
        fresh = bench.ask({ turns: [{ role: "user", content: "fresh" }] });
        await settle();
        bench.back(0).call.start();
        guilty.start().say("x");
        await settle();
        const second = died();
        for (const call of running(bench.back(0).calls)) call.fail(second);
      } else for (const call of calls) call.answer("two");
      await settle();
    }
    for (const [index, reading] of readings.entries()) {
      if (index === 3) {
        expect(reading.ended).toMatchObject({ code: "engine_crashed", retryable: false });
        expect(reading.ended).toMatchObject({ message: expect.stringContaining("twice") as string });
      } else expect([reading.ended, reading.text()]).toEqual([null, "one two"]);
    }
    expect([fresh?.ended, fresh?.text()]).toEqual([null, "two"]);
    expect(bench.metrics.read("suspects_waiting")).toBe(0);
  });

  it("costs those who only waited no suspicion at once", async () => {
    const bench = chainBench(["local"]);
    const readings = [bench.ask(), bench.ask()];
    await settle();
    const first = died();
    for (const call of running(bench.back(0).calls)) call.fail(first);
    await settle();
    // Both at the same time.
    expect(running(bench.back(0).calls)).toHaveLength(2);
    for (const call of running(bench.back(0).calls)) call.answer("x");
    await settle();
    expect(readings.map(({ ended }) => ended)).toEqual([null, null]);
  });

  it("in the middle ends the answer with its error where nobody may go on, and it may be tried again", async () => {
    const bench = chainBench(["local"], { continueMidStream: false });
    const [reading] = await eight(bench);
    for (const call of bench.back(0).calls) call.fail(died());
    await settle();
    expect(reading?.ended).toMatchObject({ code: "engine_crashed", retryable: true });
    expect(bench.back(0).calls).toHaveLength(8);
  });

  it("clears a suspect that has run for ten seconds, and lets the next one on beside it", async () => {
    const bench = chainBench(["local"]);
    const readings = await eight(bench);
    const death = died();
    for (const call of bench.back(0).calls) call.fail(death);
    await settle();
    const [first] = running(bench.back(0).calls);
    first?.start().say("two ");
    await bench.clock.pass(9999);
    expect(running(bench.back(0).calls)).toHaveLength(1);
    await bench.clock.pass(1);
    expect(running(bench.back(0).calls)).toHaveLength(2);
    // Cleared is cleared: a death now is its first again.
    first?.fail(died());
    await settle();
    for (let turn = 0; turn < 10; turn++) {
      for (const call of running(bench.back(0).calls)) call.answer("end");
      await settle();
    }
    expect(readings.map(({ ended }) => ended)).toEqual(Array.from({ length: 8 }, () => null));
    expect(readings[0]?.text()).toBe("one two end");
    expect(bench.clock.pending).toBe(0);
  });

  it("lets a suspect be cancelled in its line, and those behind it move up", async () => {
    const bench = chainBench(["local"]);
    const readings = await eight(bench);
    const death = died();
    for (const call of bench.back(0).calls) call.fail(death);
    await settle();
    const places = readings.map(({ parts }) => parts.find(({ type }) => type === "queued"));
    expect(places.map((part) => part?.type === "queued" && part.position)).toEqual([
      false,
      ...[1, 2, 3, 4, 5, 6, 7],
    ]);
    for (const index of [0, 1, 2, 3, 4, 5, 6]) readings[index]?.controller.abort(new Error("enough"));
    await settle();
    const calls = running(bench.back(0).calls);
    expect(calls.map(messageOf)).toEqual(["m7"]);
    calls[0]?.answer("two");
    await settle();
    expect(readings[7]?.text()).toBe("one two");
    expect(bench.back(0).calls).toHaveLength(10);
  });
});
