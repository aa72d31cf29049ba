import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";

/** Number of cores this process may use, by its CPU affinity and the CPU quota of its container. */
export function usableCores(): number {
  return Math.max(1, Math.min(availableParallelism(), quotaCores()));
}

function quotaCores(): number {
  try {
    const [quota, period] = readFileSync("/sys/fs/cgroup/cpu.max", "utf8").trim().split(" ");
    const cores = Math.floor(Number(quota) / Number(period));
    return Number.isFinite(cores) && cores >= 1 ? cores : Number.POSITIVE_INFINITY;
  } catch {
    // Without cgroup v2 there is no quota to read.
    return Number.POSITIVE_INFINITY;
  }
}
