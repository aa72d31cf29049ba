import { createServer } from "node:net";

/** Maximum milliseconds to look up the name of a host. */
const LOOKUP_MS = 5000;

/**
 * Listens on the address for a moment, so that a wrong HOST or PORT is reported before a model is loaded.
 *
 * @throws Error with one line that states the cause and what to do
 */
export async function checkListenAddress(host: string, port: number): Promise<void> {
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(Object.assign(new Error(), { code: "ETIMEOUT" })), LOOKUP_MS);
      server
        .once("error", reject)
        .once("listening", resolve)
        .once("close", () => clearTimeout(timer));
      server.listen({ host, port, exclusive: true });
    });
  } catch (error) {
    const { code = "unknown error" } = error as NodeJS.ErrnoException;
    throw new Error(`Cannot listen on ${host} port ${port}: ${adviceOf(code, host, port)}`, { cause: error });
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

function adviceOf(code: string, host: string, port: number): string {
  switch (code) {
    case "EADDRINUSE":
      return "the port is in use. Stop the other server, or set PORT to a free port.";
    case "EACCES":
    case "EPERM":
      return port < 1024
        ? "ports below 1024 are not permitted for this user. Set PORT to 1024 or above."
        : "the system does not permit it. Set PORT to another port.";
    case "EADDRNOTAVAIL":
      return (
        "no network interface of this machine has this address. Set HOST to one that it has: 127.0.0.1 for this " +
        "machine only, 0.0.0.0 for all."
      );
    case "EAFNOSUPPORT":
    case "EINVAL":
      return `this machine does not support the kind of address. Set HOST to ${host.includes(":") ? "an IPv4 address such as 127.0.0.1 or 0.0.0.0" : "another address"}.`;
    case "ENOTFOUND":
    case "EAI_AGAIN":
    case "ETIMEOUT":
      return (
        `the host name is not known (${code}). Set HOST to an address of this machine, such as 127.0.0.1 or 0.0.0.0; ` +
        "names that clients use belong in ALLOWED_HOSTS."
      );
    default:
      return `${code}. Check HOST and PORT.`;
  }
}
