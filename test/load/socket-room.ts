import { readFileSync } from "node:fs";

/** Files, pipes and connections that a process needs besides its sockets. */
const OTHER_FILES = 200;

/** Ports that others on the machine may hold. */
const OTHER_PORTS = 1000;

/**
 * Why this machine cannot hold that many sockets of one client against one server, and what to do; null when it can,
 * or when it does not say. Both ends raise their own soft limit of open files, so the hard one counts.
 */
export function roomForSockets(sockets: number): string | null {
  const files = hardFileLimit();
  if (sockets + OTHER_FILES > files) {
    return `${sockets} sockets need more open files than the ${files} allowed here: raise the hard limit (ulimit -Hn).`;
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
