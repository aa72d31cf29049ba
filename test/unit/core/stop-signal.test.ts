import { describe, expect, it } from "vitest";
import { Stopper, type StopSignal } from "../../../src/core/stop-signal.ts";

const makers: Readonly<Record<string, () => { signal: StopSignal; abort: (reason: unknown) => void }>> = {
  "a Stopper": () => {
    const stopper = new Stopper();
    return { signal: stopper, abort: (reason) => stopper.abort(reason) };
  },
  // The same work takes either, so both must do the same.
  "an AbortSignal": () => {
    const controller = new AbortController();
    return { signal: controller.signal, abort: (reason) => controller.abort(reason) };
  },
};

describe.each(Object.entries(makers))("%s as a StopSignal", (_name, make) => {
  it("says nothing before it is aborted, and its reason from then on", () => {
    const { signal, abort } = make();
    expect([signal.aborted, signal.reason]).toEqual([false, undefined]);
    signal.throwIfAborted();
    abort("enough");
    expect([signal.aborted, signal.reason]).toEqual([true, "enough"]);
    expect(() => signal.throwIfAborted()).toThrow("enough");
  });

  it("tells each listener once, at once and in order, and not those that left", () => {
    const { signal, abort } = make();
    const told: string[] = [];
    const left = (): void => void told.push("left");
    signal.addEventListener("abort", () => told.push("first"), { once: true });
    signal.addEventListener("abort", left, { once: true });
    signal.addEventListener("abort", () => told.push("second"), { once: true });
    signal.removeEventListener("abort", left);
    abort("enough");
    expect(told).toEqual(["first", "second"]);
    abort("again");
    expect([told.length, signal.reason]).toEqual([2, "enough"]);
  });

  it("calls nobody who comes after the end", () => {
    const { signal, abort } = make();
    abort("enough");
    let told = false;
    signal.addEventListener("abort", () => (told = true), { once: true });
    abort("again");
    expect(told).toBe(false);
  });
});
