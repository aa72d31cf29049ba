import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Bytes of the longest path of a Unix socket: macOS allows 104 with the final zero, Linux 108. */
const MAX_PATH_BYTES = 103;
const NAME = "engine.sock";

/** A new folder that only this user can access, and the path of a socket in it. */
export interface SocketFolder {
  readonly socketPath: string;
  /** Removes the folder. It is also removed when this process exits. */
  remove(): void;
}

/** Creates the folder in `parent`, or in /tmp when the path of the socket would be too long there. */
export function createSocketFolder(parent: string = tmpdir()): SocketFolder {
  // mkdtemp creates the folder with mode 0700.
  const fits = Buffer.byteLength(join(parent, "chat-engine-XXXXXX", NAME)) <= MAX_PATH_BYTES;
  const folder = mkdtempSync(join(fits ? parent : "/tmp", "chat-engine-"));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  process.once("exit", remove);
  return {
    socketPath: join(folder, NAME),
    remove() {
      process.removeListener("exit", remove);
      remove();
    },
  };
}
