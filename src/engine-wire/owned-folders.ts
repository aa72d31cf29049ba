import { lstatSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What a folder of a process holds: stored states of conversations, or the socket of the engine. */
export type FolderUse = "kv" | "socket";

/** A memory file system, where there is one. */
export const MEMORY_FILE_SYSTEM = "/dev/shm";
/** Used for sockets where the path of the temporary folder is too long. */
export const SHORT_TEMPORARY_FOLDER = "/tmp";

/** Process id, then its pid namespace and start time where the system reports them, then random characters. */
const NAME = /^chat-engine-(?:kv|socket)-(\d{1,10})-(?:([0-9a-z]{1,13})-([0-9a-z]{1,13})-)?[0-9A-Za-z]+$/;

/** Position of the start time among the fields that follow the state: field 22, where the state is field 3. */
const START_FIELD = 18;

/** Identifies a process among later ones with the same id and among those of other containers. */
interface ProcessIdentity {
  readonly pid: number;
  /** Number of the pid namespace, base 36; undefined where the system does not report it. */
  readonly namespace: string | undefined;
  /** Start time in ticks since the start of the system, base 36; undefined where the system does not report it. */
  readonly startedAt: string | undefined;
}

/** Start of the name of a folder that belongs to this process. mkdtemp adds six characters. */
export function ownedFolderPrefix(use: FolderUse): string {
  const { pid } = process;
  const [namespace, startedAt] = [ownNamespace(), startOf(pid)];
  const stamp = namespace !== undefined && startedAt !== undefined ? `${namespace}-${startedAt}-` : "";
  return `chat-engine-${use}-${pid}-${stamp}`;
}

/** Creates a folder with mode 0700 that {@link removeLeftovers} keeps as long as this process runs. */
export function createOwnedFolder(use: FolderUse, parent: string): string {
  return mkdtempSync(join(parent, ownedFolderPrefix(use)));
}

/**
 * Removes folders that killed processes of this user have left. Keeps links, and folders of other users, of running
 * processes, and of processes in other pid namespaces, whose state is unknown here.
 *
 * @returns the paths removed
 */
export function removeLeftovers(
  parents: readonly string[] = [MEMORY_FILE_SYSTEM, tmpdir(), SHORT_TEMPORARY_FOLDER],
): string[] {
  return [...new Set(parents)].flatMap((parent) =>
    namesIn(parent)
      .map((name) => join(parent, name))
      .filter((path) => removeLeftover(path)),
  );
}

function namesIn(parent: string): string[] {
  try {
    return readdirSync(parent).filter((name) => NAME.test(name));
  } catch {
    // The parent is missing or not readable.
    return [];
  }
}

function removeLeftover(path: string): boolean {
  try {
    const stats = lstatSync(path);
    const isOwn = stats.isDirectory() && stats.uid === (process.getuid?.() ?? stats.uid);
    if (!isOwn || mayRun(ownerOf(path))) return false;
    rmSync(path, { recursive: true, force: true });
    return true;
  } catch {
    // Another process removed it first, or it cannot be removed.
    return false;
  }
}

function ownerOf(path: string): ProcessIdentity {
  const [, pid, namespace, startedAt] = NAME.exec(path.slice(path.lastIndexOf("chat-engine-"))) ?? [];
  return { pid: Number(pid), namespace, startedAt };
}

function mayRun({ pid, namespace, startedAt }: ProcessIdentity): boolean {
  if (namespace !== undefined && namespace !== ownNamespace()) return true;
  if (!isRunning(pid)) return false;
  const [state = "", ...fields] = statOf(pid) ?? [];
  // An ended process stays in the table until its parent reads its exit code.
  if (state === "Z" || state === "X") return false;
  const start = inBase36(fields[START_FIELD]);
  return startedAt === undefined || start === undefined || start === startedAt;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function ownNamespace(): string | undefined {
  try {
    return inBase36(/\d+/.exec(readlinkSync("/proc/self/ns/pid"))?.[0]);
  } catch {
    return undefined;
  }
}

function startOf(pid: number): string | undefined {
  return inBase36(statOf(pid)?.[START_FIELD + 1]);
}

/** Fields of /proc/<pid>/stat from the third one on, the state; undefined where there is none. */
function statOf(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name in parentheses may contain blanks.
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined;
  }
}

function inBase36(digits: string | undefined): string | undefined {
  return digits === undefined || digits === "" ? undefined : Number(digits).toString(36);
}
