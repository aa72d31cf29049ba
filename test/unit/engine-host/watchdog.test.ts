import { describe, expect, it } from "vitest";
import { CHECK_MS, Watchdog } from "../../../src/engine-host/watchdog.ts";
import type { EnginePulse } from "../../../src/engine-wire/control.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const idle: EnginePulse = { busy: false, moved: 0, tickMs: 0, longWork: false };

/**
 * Advances the clock by seconds. `pulse` returns the pulse of each; undefined: none.
 *
 * @returns the second of the stall.
 */
function watch(
  seconds: number,
  pulse: (second: number) => Partial<EnginePulse> | undefined,
  stallMs = 30_000,
) {
  const clock = new VirtualClock();
  const watchdog = new Watchdog(stallMs, clock);
  for (let second = 1; second <= seconds; second++) {
    clock.advance(CHECK_MS);
    const received = pulse(second);
    if (received) watchdog.pulse({ ...idle, ...received });
    if (watchdog.stalledMs() !== undefined) return second;
  }
  return undefined;
}

describe("Watchdog", () => {
  it("reports neither an idle engine nor one that makes progress", () => {
    expect(watch(600, () => ({}))).toBeUndefined();
    expect(watch(600, (second) => ({ busy: true, moved: second }))).toBeUndefined();
  });

  it("detects a busy engine that makes no progress", () => {
    expect(watch(600, () => ({ busy: true, moved: 7 }))).toBe(32);
    expect(watch(600, (second) => ({ busy: second > 100, moved: 7 }))).toBe(132);
  });

  it("detects an engine that sends no pulses", () => {
    expect(watch(600, (second) => (second < 10 ? { busy: true, moved: second } : undefined))).toBe(40);
    expect(watch(600, (second) => (second < 10 ? {} : undefined))).toBe(40);
  });

  it("allows an engine with long steps twenty of them without progress", () => {
    expect(watch(600, () => ({ busy: true, moved: 7, tickMs: 5000 }))).toBe(102);
  });

  it("does not count the time of loading, saving and compiling", () => {
    expect(
      watch(600, (second) => (second < 10 ? { busy: true, moved: 1, longWork: second === 9 } : undefined)),
    ).toBeUndefined();
    expect(watch(600, (second) => ({ busy: true, moved: 1, longWork: second <= 50 }))).toBe(82);
  });

  it("does not report a hang after a pause of its own process", () => {
    const clock = new VirtualClock();
    const watchdog = new Watchdog(30_000, clock);
    watchdog.pulse({ ...idle, busy: true, moved: 1 });
    clock.advance(3_600_000);
    expect(watchdog.stalledMs()).toBeUndefined();
    clock.advance(CHECK_MS);
    watchdog.pulse({ ...idle, busy: true, moved: 2 });
    expect(watchdog.stalledMs()).toBeUndefined();
  });
});
