import { rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  createOwnedFolder,
  ownedFolderPrefix,
  SHORT_TEMPORARY_FOLDER,
} from "../engine-wire/owned-folders.ts";

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
  const longest = join(parent, `${ownedFolderPrefix("socket")}XXXXXX`, NAME);
  const fits = Buffer.byteLength(longest) <= MAX_PATH_BYTES;
  const folder = createOwnedFolder("socket", fits ? parent : SHORT_TEMPORARY_FOLDER);
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
