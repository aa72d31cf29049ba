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

/** Clock ticks of /proc in a second: fixed by Linux's interface to user space. */
const TICKS_PER_SECOND = 100;

/**
 * The same for a process that starts and ends threads all the time, as an engine may for each step: those that ended
 * count too. Exact to 20 ms.
 *
 * @throws Error where there is no Linux /proc.
 */
export function processCpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The name stands in brackets and may hold anything; user and system time are the 12th and 13th fields after it.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}
