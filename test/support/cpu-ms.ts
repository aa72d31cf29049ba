/**
 * Runs `work` and returns the CPU time that this process needed for it, in milliseconds. Unlike elapsed time it does
 * not grow while other processes have the cores.
 */
export function cpuMs(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}
