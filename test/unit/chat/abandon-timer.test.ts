import fc from "../../support/property-tests.ts";
import { describe, expect, it } from "vitest";
import { AbandonTimer, type Watcher } from "../../../src/chat/abandon-timer.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const ABANDON_MS = 15_000;

function make() {
  const clock = new VirtualClock();
  let abandoned = 0;
  const timer = new AbandonTimer(clock, ABANDON_MS, () => abandoned++);
  return { clock, timer, abandoned: () => abandoned };
}

describe("AbandonTimer", () => {
  it("runs from the start while there is no watcher, and calls back once", () => {
    const { clock, abandoned } = make();
    clock.advance(ABANDON_MS - 1);
    expect(abandoned()).toBe(0);
    clock.advance(1);
    expect(abandoned()).toBe(1);
    clock.advance(10 * ABANDON_MS);
    expect(abandoned()).toBe(1);
    expect(clock.pending).toBe(0);
  });

  it("does not run while a connected watcher waits, for any length of time", () => {
    const { clock, timer, abandoned } = make();
    timer.join();
    expect(timer.hasActiveWatcher).toBe(true);
    clock.advance(1000 * ABANDON_MS);
    expect(abandoned()).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it("restarts from zero after each watcher, without adding up earlier times", () => {
    const { clock, timer, abandoned } = make();
    for (let round = 0; round < 5; round++) {
      clock.advance(ABANDON_MS - 1);
      timer.join().leave();
    }
    expect(abandoned()).toBe(0);
    clock.advance(ABANDON_MS);
    expect(abandoned()).toBe(1);
  });

  it("runs while every watcher is stalled, and stops when one reads again", () => {
    const { clock, timer, abandoned } = make();
    const [slow, fast] = [timer.join(), timer.join()];
    slow.setStalled(true);
    clock.advance(10 * ABANDON_MS);
    expect(abandoned()).toBe(0);
    fast.setStalled(true);
    expect(timer.hasActiveWatcher).toBe(false);
    clock.advance(ABANDON_MS - 1);
    slow.setStalled(false);
    clock.advance(ABANDON_MS);
    expect(abandoned()).toBe(0);
    slow.leave();
    clock.advance(ABANDON_MS);
    expect(abandoned()).toBe(1);
  });

  it("does not restart when a stalled watcher is reported as stalled again", () => {
    const { clock, timer, abandoned } = make();
    const watcher = timer.join();
    watcher.setStalled(true);
    for (let step = 0; step < 3; step++) {
      clock.advance(ABANDON_MS / 3);
      watcher.setStalled(true);
    }
    expect(abandoned()).toBe(1);
  });

  it("never calls back after it was closed, even if watchers join and leave", () => {
    const { clock, timer, abandoned } = make();
    timer.close();
    timer.join().leave();
    clock.advance(10 * ABANDON_MS);
    expect(abandoned()).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it("counts each watcher once in any order of events", () => {
    const step = fc.record({
      watcher: fc.nat({ max: 3 }),
      act: fc.constantFrom("join", "leave", "stall", "take", "wait" as const),
      ms: fc.integer({ min: 0, max: ABANDON_MS }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { clock, timer, abandoned } = make();
        const watchers: ({ watcher: Watcher; taking: boolean } | undefined)[] = [];
        let idleSince: number | null = clock.now();
        for (const { watcher, act, ms } of steps) {
          const one = watchers[watcher];
          if (act === "join" && one === undefined) {
            watchers[watcher] = { watcher: timer.join(), taking: true };
          } else if (act === "leave" && one !== undefined) {
            one.watcher.leave();
            one.watcher.leave();
            one.watcher.setStalled(false);
            watchers[watcher] = undefined;
          } else if ((act === "stall" || act === "take") && one !== undefined) {
            one.taking = act === "take";
            one.watcher.setStalled(!one.taking);
          } else if (act === "wait") {
            clock.advance(ms);
          }
          const hasActive = watchers.some((each) => each?.taking === true);
          if (abandoned() > 0) {
            expect(idleSince).not.toBeNull();
            expect(clock.now() - (idleSince ?? 0)).toBeGreaterThanOrEqual(ABANDON_MS);
            return;
          }
          expect(timer.hasActiveWatcher).toBe(hasActive);
          if (hasActive) idleSince = null;
          else idleSince ??= clock.now();
          if (idleSince !== null) expect(clock.now() - idleSince).toBeLessThan(ABANDON_MS);
        }
      }),
    );
  });
});
