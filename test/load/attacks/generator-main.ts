// The process of the attackers. It runs one attack on a service or repeats it on another server, and exits with its
// parent process, or after MAX_LIFE_MS.
import { attacks } from "./catalog.ts";
import { createField } from "./field.ts";
import { replay } from "./replay.ts";
import { Wires, type WireStep } from "./wires.ts";

/** A command to the generator. Each gets one {@link GeneratorReply}. */
export type GeneratorCommand =
  | {
      readonly type: "attack";
      readonly name: string;
      readonly port: number;
      readonly seconds: number;
      readonly addresses: number;
    }
  | { readonly type: "replay"; readonly port: number };

export type GeneratorReply =
  | {
      readonly type: "done";
      readonly sent: number;
      readonly received: number;
      readonly opened: number;
      readonly steps: number;
    }
  | { readonly type: "failed"; readonly message: string };

/** Maximum lifetime of this process in milliseconds, even if its parent does not end it. */
const MAX_LIFE_MS = 300_000;
/** Milliseconds between two rounds of steps. */
const TICK_MS = 5;
/** Maximum bytes written a second. Steps beyond it wait. */
const MAX_BYTES_PER_SECOND = 50 * 1_048_576;

/** The record of the last attack. */
let steps: readonly WireStep[] = [];

setTimeout(() => process.exit(1), MAX_LIFE_MS).unref();
process.on("disconnect", () => process.exit(0));
process.on("message", (command: GeneratorCommand) => {
  execute(command).then(
    ({ sent, received, opened, steps: { length } }) =>
      reply({ type: "done", sent, received, opened, steps: length }),
    (error: unknown) => reply({ type: "failed", message: String(error) }),
  );
});

function reply(message: GeneratorReply): void {
  process.send?.(message);
}

async function execute(command: GeneratorCommand): Promise<Wires> {
  if (command.type === "replay") return replay(command.port, steps);
  const { name, port, seconds, addresses } = command;
  const attack = attacks[name];
  if (attack === undefined) throw new Error(`no attack is named ${name}`);
  const page = await fetch(`http://127.0.0.1:${port}/`);
  await page.arrayBuffer();
  const wires = new Wires(port);
  const step = attack.begin(createField(wires, addresses, page.headers.get("etag") ?? '""'));
  await paced(wires, attack.perSecond, seconds, step);
  steps = wires.steps.slice();
  wires.closeAll();
  return wires;
}

/** Executes steps at a steady rate for a number of seconds. */
function paced(wires: Wires, perSecond: number, seconds: number, step: (n: number) => void): Promise<void> {
  let n = 0;
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      const at = wires.now / 1000;
      if (at >= seconds) {
        clearInterval(timer);
        resolve();
        return;
      }
      // A late generator catches up by at most a tenth of a second.
      n = Math.max(n, Math.floor((at - 0.1) * perSecond));
      for (; n < at * perSecond && wires.sent <= (at + 0.1) * MAX_BYTES_PER_SECOND; n++) step(n);
    }, TICK_MS);
  });
}
