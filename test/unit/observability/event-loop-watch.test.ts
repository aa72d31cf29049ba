import { describe, expect, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { silentLogger } from "../../../src/core/logger.ts";
import { EventLoopWatch, watchEventLoop, type Stall } from "../../../src/observability/event-loop-watch.ts";
import { CountingMetrics } from "../../support/counting-metrics.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

function watched() {
  const clock = new VirtualClock();
  const stalls: Stall[] = [];
  const used = { cpu: 0, gc: 0 };
  const watch = new EventLoopWatch({
    clock,
    cpuMs: () => used.cpu,
    gcMs: () => used.gc,
    stalled: (stall) => stalls.push(stall),
  });
  return { clock, stalls, used, watch };
}

describe("the watch of the event loop", () => {
  it("reports a stall over 200 ms with its longest activity, and nothing else", () => {
    const { clock, stalls, used, watch } = watched();
    clock.advance(50);
    watch.begin("frame");
    clock.jump(10);
    watch.end();
    watch.begin("history");
    clock.jump(300);
    used.cpu += 290;
    used.gc += 40;
    watch.end();
    watch.begin("frame");
    clock.jump(20);
    watch.end();
    clock.advance(0);
    expect(stalls).toEqual([{ ms: 280, activity: "history", activityMs: 300, gcMs: 40, cpuMs: 290 }]);
    clock.advance(50);
    clock.advance(50);
    expect(stalls).toHaveLength(1);
  });

  it("does not report a delay of 200 ms", () => {
    const { clock, stalls } = watched();
    clock.jump(250);
    clock.advance(0);
    expect(stalls).toEqual([]);
  });

  it("reports a stall without a recorded activity", () => {
    const { clock, stalls, used } = watched();
    clock.jump(1050);
    used.cpu += 3;
    clock.advance(0);
    expect(stalls).toEqual([{ ms: 1000, activity: null, activityMs: 0, gcMs: 0, cpuMs: 3 }]);
  });

  it("returns the longest delay since the last call", () => {
    const { clock, watch } = watched();
    clock.jump(90);
    clock.advance(0);
    clock.jump(60);
    clock.advance(0);
    expect(watch.takeMaxDelay()).toBe(40);
    expect(watch.takeMaxDelay()).toBe(0);
    watch.close();
    expect(clock.pending).toBe(0);
  });

  it("reports the delay while this process is blocked", async () => {
    const metrics = new CountingMetrics();
    const lines: object[] = [];
    const logger = { ...silentLogger, warn: (fields: object) => void lines.push(fields) };
    const watch = watchEventLoop(systemClock, logger, metrics);
    watch.begin("test");
    const end = performance.now() + 400;
    while (performance.now() < end);
    watch.end();
    await expect.poll(() => lines.length, { timeout: 10_000 }).toBeGreaterThan(0);
    expect(lines[0]).toMatchObject({ activity: "test" });
    expect(metrics.gauges.get("event_loop_max_delay_seconds")?.()).toBeGreaterThan(0.2);
    watch.close();
  });
});
