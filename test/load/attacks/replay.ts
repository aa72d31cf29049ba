import { Wires, type Wire, type WireStep } from "./wires.ts";

/** Milliseconds between two checks of the record. */
const TICK_MS = 5;

/** Repeats the recorded steps with the same connections, bytes and times, on another server. */
export async function replay(port: number, steps: readonly WireStep[]): Promise<Wires> {
  const wires = new Wires(port);
  const open = new Map<number, Wire | null>();
  let at = 0;
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const { now } = wires;
      for (; at < steps.length && (steps[at] as WireStep).at <= now; at++) repeat(steps[at] as WireStep);
      if (at < steps.length) return;
      clearInterval(timer);
      resolve();
    }, TICK_MS);
  });
  wires.closeAll();
  return wires;

  function repeat(step: WireStep): void {
    if (step.op === "open") open.set(step.id, wires.open(step.address));
    else if (step.op === "write") open.get(step.id)?.write(step.bytes);
    else if (step.op === "pause") open.get(step.id)?.pause();
    else {
      open.get(step.id)?.close();
      open.delete(step.id);
    }
  }
}
