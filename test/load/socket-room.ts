import { readFileSync } from "node:fs";

/** Files, pipes and connections that a process needs besides its sockets. */
const OTHER_FILES = 200;

/** Client ports that other processes on the machine may use. */
const OTHER_PORTS = 1000;

/**
 * Why this machine cannot hold that many sockets between one client and one server, and what to do; null if it can, or
 * if its limits are unknown. Both processes raise their soft limit of open files, so the hard limit counts.
 */
export function roomForSockets(sockets: number): string | null {
  const files = hardFileLimit();
  if (sockets + OTHER_FILES > files) {
    return `${sockets} sockets need more open files than the limit of ${files}: raise the hard limit (ulimit -Hn).`;
  }
  const ports = clientPorts();
  if (sockets + OTHER_PORTS > ports) {
    return `${sockets} sockets to one port need more than the ${ports} client ports of this machine: widen net.ipv4.ip_local_port_range.`;
  }
  return null;
}

function hardFileLimit(): number {
  const found = /^Max open files\s+\S+\s+(\S+)/m.exec(readOr("/proc/self/limits", ""))?.[1];
  return found === undefined || found === "unlimited" ? Infinity : Number(found);
}

function clientPorts(): number {
  const [first, last] = readOr("/proc/sys/net/ipv4/ip_local_port_range", "0 Infinity").split(/\s+/);
  return Number(last) - Number(first) + 1;
}

function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return otherwise;
    throw error;
  }
}
