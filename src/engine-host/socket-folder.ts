import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

// The kernel's limit for the path of a Unix socket is 108 bytes with the final zero; macOS has 104.
const LONGEST_PATH = 103;
const NAME = "engine.sock";

/** A fresh folder that only this user can enter, and the path of a socket in it. */
export interface SocketFolder {
  readonly socketPath: string;
  remove(): void;
}

/** `parent`: the system's folder for temporary files when absent. */
export function createSocketFolder(parent: string = tmpdir()): SocketFolder {
  // mkdtemp makes the folder with mode 0700.
  const fits = Buffer.byteLength(join(parent, "chat-engine-XXXXXX", NAME)) <= LONGEST_PATH;
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
