import { describe, expect, it } from "vitest";
import type { ScriptedCall } from "../../../support/scripted-provider.ts";
import { settle } from "../../../support/virtual-clock.ts";
import { chainBench, failure, type Reading } from "./chain-bench.ts";

const crashOf = (name = "local") => failure(name, "engine_crashed");

/** Starts eight answers with different messages and emits some text of each. */
async function eight(bench: ReturnType<typeof chainBench>): Promise<Reading[]> {
  const readings = Array.from({ length: 8 }, (_, index) =>
    bench.ask({ turns: [{ role: "user", content: `m${index}` }] }),
  );
  await settle();
  for (const call of bench.providerAt(0).calls) call.start().say("one ");
  await settle();
  return readings;
}

const messageOf = (call: ScriptedCall): string => call.request.turns.at(-1)?.content ?? "";
const running = (calls: readonly ScriptedCall[]) => calls.filter(({ stopped }) => !stopped);

describe("a crash of the engine", () => {
  it("is followed by retries on the engine if no other provider is left, one suspect at a time with one notice each", async () => {
    const bench = chainBench(["local"]);
    const readings = await eight(bench);
    const crash = crashOf();
    for (const call of bench.providerAt(0).calls) call.fail(crash);
    await settle();
    for (let left = 8; left > 0; left--) {
      const [call, ...more] = running(bench.providerAt(0).calls);
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

  it("moves the answer to another provider first, and back to the engine only if none is left", async () => {
    const { ask, providerAt } = chainBench(["local", "openai"]);
    const answer = ask();
    await settle();
    providerAt(0).call.start().say("one ").fail(crashOf());
    await settle();
    providerAt(1).call.start().fail(failure("openai", "provider_unavailable"));
    await settle();
    providerAt(0).call.answer("two");
    await settle();
    expect(answer.text()).toBe("one two");
    expect(answer.fallbacks()).toMatchObject([
      { fromProvider: "local", toProvider: "openai" },
      { fromProvider: "openai", toProvider: "local" },
    ]);
  });

  it("caused by a poisoned prompt ends that request after the second crash, and all others are answered", async () => {
    const bench = chainBench(["local"]);
    const readings = await eight(bench);
    const poisoned = "m3";
    const first = crashOf();
    for (const call of bench.providerAt(0).calls) call.fail(first);
    await settle();
    let fresh: Reading | undefined;
    for (let turn = 0; turn < 20; turn++) {
      const calls = running(bench.providerAt(0).calls);
      if (calls.length === 0) break;
      const poisonedCall = calls.find((call) => messageOf(call) === poisoned);
      if (poisonedCall && fresh === undefined) {
        // A new request arrives while the poisoned one runs, and is in flight at the second crash.
        fresh = bench.ask({ turns: [{ role: "user", content: "fresh" }] });
        await settle();
        bench.providerAt(0).call.start();
        poisonedCall.start().say("x");
        await settle();
        const second = crashOf();
        for (const call of running(bench.providerAt(0).calls)) call.fail(second);
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

  it("does not make requests suspect that were only queued", async () => {
    const bench = chainBench(["local"]);
    const readings = [bench.ask(), bench.ask()];
    await settle();
    const first = crashOf();
    for (const call of running(bench.providerAt(0).calls)) call.fail(first);
    await settle();
    // Both are retried at the same time.
    expect(running(bench.providerAt(0).calls)).toHaveLength(2);
    for (const call of running(bench.providerAt(0).calls)) call.answer("x");
    await settle();
    expect(readings.map(({ ended }) => ended)).toEqual([null, null]);
  });

  it("ends an answer in the middle with a retryable error if continuing is disabled", async () => {
    const bench = chainBench(["local"], { continueMidStream: false });
    const [reading] = await eight(bench);
    for (const call of bench.providerAt(0).calls) call.fail(crashOf());
    await settle();
    expect(reading?.ended).toMatchObject({ code: "engine_crashed", retryable: true });
    expect(bench.providerAt(0).calls).toHaveLength(8);
  });

  it("stops suspecting a request that has generated text for ten seconds, and starts the next suspect", async () => {
    const bench = chainBench(["local"]);
    const readings = await eight(bench);
    const crash = crashOf();
    for (const call of bench.providerAt(0).calls) call.fail(crash);
    await settle();
    const [first] = running(bench.providerAt(0).calls);
    first?.start().say("two ");
    await bench.clock.pass(9999);
    expect(running(bench.providerAt(0).calls)).toHaveLength(1);
    await bench.clock.pass(1);
    expect(running(bench.providerAt(0).calls)).toHaveLength(2);
    // After it is cleared, another crash counts as its first.
    first?.fail(crashOf());
    await settle();
    for (let turn = 0; turn < 10; turn++) {
      for (const call of running(bench.providerAt(0).calls)) call.answer("end");
      await settle();
    }
    expect(readings.map(({ ended }) => ended)).toEqual(Array.from({ length: 8 }, () => null));
    expect(readings[0]?.text()).toBe("one two end");
    expect(bench.clock.pending).toBe(0);
  });

  it("stops suspecting a request that has reasoned for ten seconds as well", async () => {
    const bench = chainBench(["local"]);
    const readings = await eight(bench);
    const crash = crashOf();
    for (const call of bench.providerAt(0).calls) call.fail(crash);
    await settle();
    running(bench.providerAt(0).calls)[0]?.start().reason("Hm");
    await bench.clock.pass(6000);
    running(bench.providerAt(0).calls)[0]?.reason(".").say("two");
    await bench.clock.pass(3999);
    expect(running(bench.providerAt(0).calls)).toHaveLength(1);
    await bench.clock.pass(1);
    expect(running(bench.providerAt(0).calls)).toHaveLength(2);
    for (let turn = 0; turn < 10; turn++) {
      for (const call of running(bench.providerAt(0).calls)) call.answer("end");
      await settle();
    }
    expect(readings.map(({ ended }) => ended)).toEqual(Array.from({ length: 8 }, () => null));
    expect(bench.clock.pending).toBe(0);
  });

  it("allows suspects to be cancelled while they wait, and the next suspect then runs", async () => {
    const bench = chainBench(["local"]);
    const readings = await eight(bench);
    const crash = crashOf();
    for (const call of bench.providerAt(0).calls) call.fail(crash);
    await settle();
    const places = readings.map(({ parts }) => parts.find(({ type }) => type === "queued"));
    expect(places.map((part) => part?.type === "queued" && part.position)).toEqual([
      false,
      ...[1, 2, 3, 4, 5, 6, 7],
    ]);
    for (const index of [0, 1, 2, 3, 4, 5, 6]) readings[index]?.controller.abort(new Error("enough"));
    await settle();
    const calls = running(bench.providerAt(0).calls);
    expect(calls.map(messageOf)).toEqual(["m7"]);
    calls[0]?.answer("two");
    await settle();
    expect(readings[7]?.text()).toBe("one two");
    expect(bench.providerAt(0).calls).toHaveLength(10);
  });
});
