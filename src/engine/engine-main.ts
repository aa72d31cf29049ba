import { rm, rmdir } from "node:fs/promises";
import { Socket } from "node:net";
import { dirname } from "node:path";
import { systemClock } from "../core/clock.ts";
import { EngineServer } from "./server/engine-server.ts";
import { openKvFolder, type KvFolder } from "./kv/kv-folder.ts";
import { LongWork } from "./server/long-work.ts";
import { loadModel } from "./model/load-model.ts";
import { CONTROL_FD, type ControlMessage, type ControlReply } from "../engine-wire/control.ts";
import { encodeLine, LineDecoder } from "../engine-wire/line-codec.ts";

/**
 * Entry of the engine process. Its first line on the control channel holds its settings; when that channel closes,
 * its parent is gone and so is its purpose.
 */

// A terminal's Ctrl-C and a service manager signal the whole group: main decides when the engine ends.
process.on("SIGINT", () => {});
process.on("SIGTERM", () => {});

const PULSE_MS = 1000;

// What the engine writes, states of conversations among it, is for this user alone.
process.umask(0o077);
// However it ends, short of a kill: main, or else the next engine, clears up after that.
process.on("exit", () => kvFolder?.remove());

const control = new Socket({ fd: CONTROL_FD, readable: true, writable: true });
const decoder = new LineDecoder<ControlMessage>();
const longWork = new LongWork(sendPulse);
let socketPath: string | undefined;
let server: EngineServer | undefined;
let kvFolder: KvFolder | undefined;

control.setEncoding("utf8");
control.on("data", (chunk: string) => {
  for (const message of decoder.push(chunk)) void handle(message);
});
control.on("error", () => void leave());
control.on("close", () => void leave());
control.on("end", () => void leave());

async function handle(message: ControlMessage): Promise<void> {
  if (message.type === "stop") {
    await server?.stop();
    process.exit(0);
  }
  socketPath = message.socketPath;
  try {
    const loaded = await loadModel(message.settings, longWork);
    const { settings } = message;
    if (settings.kvCacheBytes > 0) {
      kvFolder = openKvFolder(process.pid);
      if (!kvFolder) report(new Error("No folder for states of sequences can be made; none are stored."));
    }
    server = new EngineServer({
      loaded,
      settings,
      socketPath,
      clock: systemClock,
      onFault: report,
      longWork,
      ...(kvFolder && { kvFolder }),
    });
    await server.listen();
    reply({ type: "ready", info: loaded.info, ...(kvFolder && { stateFolder: kvFolder.path }) });
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    control.write(encodeLine({ type: "failed", message: text }), () => process.exit(1));
    return;
  }
  pulse();
  await server.serve();
}

/** So that main can tell an engine that hangs from one that works. */
function pulse(): void {
  sendPulse();
  systemClock.after(PULSE_MS, pulse);
}

function sendPulse(): void {
  if (server) reply({ type: "pulse", ...server.pulse() });
}

function reply(message: ControlReply): void {
  control.write(encodeLine(message));
}

function report(error: unknown): void {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
}

/** Main died without a word: nobody else removes the socket. A native step may run on, so no clean end is tried. */
async function leave(): Promise<void> {
  try {
    kvFolder?.remove();
    if (socketPath) {
      await rm(socketPath, { force: true });
      await rmdir(dirname(socketPath));
    }
  } finally {
    process.kill(process.pid, "SIGKILL");
  }
}
