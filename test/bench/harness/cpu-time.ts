import { readdirSync, readFileSync } from "node:fs";

/**
 * CPU time that a process has used so far, in seconds, over all its threads, the kernel's work for it included. Read
 * from outside, so that asking costs the process nothing. Threads that ended are not counted; servers keep theirs.
 *
 * @throws Error where there is no Linux /proc with scheduler statistics.
 */
export function cpuSeconds(pid: number): number {
  const folder = `/proc/${pid}/task`;
  let nanoseconds = 0;
  for (const thread of readdirSync(folder)) {
    nanoseconds += Number(readFileSync(`${folder}/${thread}/schedstat`, "utf8").split(" ", 1)[0]);
  }
  return nanoseconds / 1e9;
}
