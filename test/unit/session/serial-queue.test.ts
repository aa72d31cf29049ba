import { describe, expect, it } from "vitest";
import { SerialQueue } from "../../../src/session/serial-queue.ts";
import { settle } from "../../support/virtual-clock.ts";

describe("SerialQueue", () => {
  it("starts the first task at once and the others in order, one at a time", async () => {
    const queue = new SerialQueue(3);
    const steps: string[] = [];
    const ends: (() => void)[] = [];
    const task = (name: string) => () =>
      new Promise<void>((resolve) => {
        steps.push(name);
        ends.push(resolve);
      });
    for (const name of ["a", "b", "c"]) queue.add(task(name), () => steps.push(`${name} over`));
    expect(steps).toEqual(["a"]);
    expect(queue.add(task("d"), () => steps.push("never"))).toBe(false);
    for (let index = 0; index < 3; index++) {
      await settle();
      ends[index]?.();
    }
    await settle();
    expect(steps).toEqual(["a", "a over", "b", "b over", "c", "c over"]);
    expect(queue.size).toBe(0);
  });
});
