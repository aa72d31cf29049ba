import { describe, expect, it } from "vitest";
import { Stopper, type StopSignal } from "../../../src/core/stop-signal.ts";

const makers: Readonly<Record<string, () => { signal: StopSignal; abort: (reason: unknown) => void }>> = {
  "a Stopper": () => {
    const stopper = new Stopper();
    return { signal: stopper, abort: (reason) => stopper.abort(reason) };
  },
  // Both are used as a StopSignal, so both must behave the same.
  "an AbortSignal": () => {
    const controller = new AbortController();
    return { signal: controller.signal, abort: (reason) => controller.abort(reason) };
  },
};

describe.each(Object.entries(makers))("%s as a StopSignal", (_name, make) => {
  it("has no reason before it is aborted, and the given one afterwards", () => {
    const { signal, abort } = make();
    expect([signal.aborted, signal.reason]).toEqual([false, undefined]);
    signal.throwIfAborted();
    abort("enough");
    expect([signal.aborted, signal.reason]).toEqual([true, "enough"]);
    expect(() => signal.throwIfAborted()).toThrow("enough");
  });

  it("calls each listener once, synchronously and in order, but no removed one", () => {
    const { signal, abort } = make();
    const calls: string[] = [];
    const removed = (): void => void calls.push("removed");
    signal.addEventListener("abort", () => calls.push("first"), { once: true });
    signal.addEventListener("abort", removed, { once: true });
    signal.addEventListener("abort", () => calls.push("second"), { once: true });
    signal.removeEventListener("abort", removed);
    abort("enough");
    expect(calls).toEqual(["first", "second"]);
    abort("again");
    expect([calls.length, signal.reason]).toEqual([2, "enough"]);
  });

  it("does not call listeners that are added after the abort", () => {
    const { signal, abort } = make();
    abort("enough");
    let called = false;
    signal.addEventListener("abort", () => (called = true), { once: true });
    abort("again");
    expect(called).toBe(false);
  });
});
