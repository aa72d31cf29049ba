import { readFileSync } from "node:fs";

/**
 * Resident memory of a process in bytes, shared files included.
 *
 * @throws Error if it has exited or there is no /proc.
 */
export function residentBytes(pid: number): number {
  const found = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  if (found === null) throw new Error(`process ${pid} has no resident memory`);
  return Number(found[1]) * 1024;
}
