import { describe, expect, it } from "vitest";
import { CHECK_MS, Watchdog } from "../../../src/engine-host/watchdog.ts";
import type { EnginePulse } from "../../../src/engine-wire/control.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const idle: EnginePulse = { busy: false, moved: 0, tickMs: 0, longWork: false };

/** Lets seconds go by; `pulse` says what the engine tells in each, nothing if undefined. @returns when it was stalled. */
function watch(
  seconds: number,
  pulse: (second: number) => Partial<EnginePulse> | undefined,
  stallMs = 30_000,
) {
  const clock = new VirtualClock();
  const watchdog = new Watchdog(stallMs, clock);
  for (let second = 1; second <= seconds; second++) {
    clock.advance(CHECK_MS);
    const told = pulse(second);
    if (told) watchdog.pulse({ ...idle, ...told });
    if (watchdog.stalledMs() !== undefined) return second;
  }
  return undefined;
}

describe("Watchdog", () => {
  it("leaves an idle engine alone, and one that moves", () => {
    expect(watch(600, () => ({}))).toBeUndefined();
    expect(watch(600, (second) => ({ busy: true, moved: second }))).toBeUndefined();
  });

  it("finds an engine that is busy and does not move", () => {
    expect(watch(600, () => ({ busy: true, moved: 7 }))).toBe(32);
    expect(watch(600, (second) => ({ busy: second > 100, moved: 7 }))).toBe(132);
  });

  it("finds an engine that gives no sign of life at all", () => {
    expect(watch(600, (second) => (second < 10 ? { busy: true, moved: second } : undefined))).toBe(40);
    expect(watch(600, (second) => (second < 10 ? {} : undefined))).toBe(40);
  });

  it("gives an engine with long steps twenty of them", () => {
    expect(watch(600, () => ({ busy: true, moved: 7, tickMs: 5000 }))).toBe(102);
  });

  it("does not count loading, saving and compiling", () => {
    expect(
      watch(600, (second) => (second < 10 ? { busy: true, moved: 1, longWork: second === 9 } : undefined)),
    ).toBeUndefined();
    expect(watch(600, (second) => ({ busy: true, moved: 1, longWork: second <= 50 }))).toBe(82);
  });

  it("does not blame the engine for a pause of its own process", () => {
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
