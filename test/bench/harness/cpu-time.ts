import { readdirSync, readFileSync } from "node:fs";

/**
 * CPU time of a process so far, in seconds, over all its threads and including kernel time. It is read from outside, so
 * reading costs the process nothing. Threads that have ended are not counted, but servers keep their threads.
 *
 * @throws Error if there is no Linux /proc with scheduler statistics.
 */
export function cpuSeconds(pid: number): number {
  const folder = `/proc/${pid}/task`;
  let nanoseconds = 0;
  for (const thread of readdirSync(folder)) {
    nanoseconds += Number(readFileSync(`${folder}/${thread}/schedstat`, "utf8").split(" ", 1)[0]);
  }
  return nanoseconds / 1e9;
}

/** Clock ticks per second in /proc (USER_HZ), fixed by Linux's interface to user space. */
const TICKS_PER_SECOND = 100;

/**
 * Like {@link cpuSeconds}, but ended threads count too. For processes that keep starting and ending threads, as an
 * engine may for each step. Exact to 20 ms.
 *
 * @throws Error if there is no Linux /proc.
 */
export function processCpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The process name is in parentheses and may contain anything. User and system time are fields 12 and 13 after it.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}
