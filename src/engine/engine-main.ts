import { rm, rmdir } from "node:fs/promises";
import { Socket } from "node:net";
import { dirname } from "node:path";
import { systemClock } from "../core/clock.ts";
import { EngineServer } from "./server/engine-server.ts";
import { openKvFolder, type KvFolder } from "./kv/kv-folder.ts";
import { LongWork } from "./server/long-work.ts";
import { LibraryUnavailable } from "./model/gpu-binaries.ts";
import { loadModel, ModelFileError, type LoadedModel } from "./model/load-model.ts";
import {
  CONTROL_FD,
  type ControlMessage,
  type ControlReply,
  type LoadFault,
} from "../engine-wire/control.ts";
import { encodeLine, LineDecoder } from "../engine-wire/line-codec.ts";

/**
 * Entry point of the engine process. The first line on the control channel holds the settings. When that channel
 * closes, the main process has ended, and the engine exits.
 */

// Ctrl-C in a terminal and service managers signal the whole process group. Only the main process acts on the signal.
// It stops the engine through the control channel.
process.on("SIGINT", () => {});
process.on("SIGTERM", () => {});

/** Interval of pulses, in milliseconds. */
const PULSE_MS = 1000;

// Files that the engine writes, such as stored states of conversations, are accessible to this user only.
process.umask(0o077);
// Runs on every exit but a kill. After a kill, main removes the folder, at its next start at the latest.
process.on("exit", () => kvFolder?.remove());

const NO_KV_FOLDER =
  "Cannot create a folder for KV states, so none are stored. Make /dev/shm or the temporary folder writable.";

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
control.on("error", () => void exitWithoutMain());
control.on("close", () => void exitWithoutMain());
control.on("end", () => void exitWithoutMain());

async function handle(message: ControlMessage): Promise<void> {
  if (message.type === "stop") {
    await server?.stop();
    process.exit(0);
  }
  socketPath = message.socketPath;
  let loaded: LoadedModel | undefined;
  try {
    const { settings } = message;
    loaded = await loadModel(settings, longWork);
    if (settings.kvCacheBytes > 0) {
      kvFolder = openKvFolder();
      if (!kvFolder) report(new Error(NO_KV_FOLDER));
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
    const fault = loaded === undefined ? faultOf(error) : "setup";
    control.write(encodeLine({ type: "failed", message: text, fault }), () => process.exit(1));
    return;
  }
  pulse();
  await server.serve();
}

/** What a failed load is due to. */
function faultOf(error: unknown): LoadFault {
  if (error instanceof LibraryUnavailable) return "setup";
  return error instanceof ModelFileError ? "file" : "model";
}

/** Sends a pulse every second, so that main can detect an engine that hangs. */
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

/**
 * Removes the engine's files and exits after the main process has ended, since no other process removes them. A
 * native step may still be running, so the engine does not try to stop cleanly.
 */
async function exitWithoutMain(): Promise<void> {
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
