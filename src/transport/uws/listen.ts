import type { TemplatedApp, us_listen_socket } from "uWebSockets.js";

/** LIBUS_LISTEN_EXCLUSIVE_PORT of uSockets; the enum exists only in the library's types, not at run time. */
const EXCLUSIVE_PORT = 1;

/**
 * Listens on a port exclusively. Without that option a second server could listen on the same port without an error,
 * and the kernel would distribute the clients between the two.
 *
 * @throws Error with one line if the port is in use or not permitted
 */
export function listenOn(app: TemplatedApp, host: string, port: number): Promise<us_listen_socket> {
  // The library accepts host, port and options together, but its types lack this overload.
  const listen = app.listen.bind(app) as unknown as (
    host: string,
    port: number,
    options: number,
    callback: (socket: us_listen_socket | false) => void,
  ) => void;
  return new Promise((resolve, reject) => {
    listen(host, port, EXCLUSIVE_PORT, (socket) => {
      if (socket !== false) {
        resolve(socket);
        return;
      }
      const remedy = "Stop the other server, or set PORT to a free port.";
      reject(new Error(`Cannot listen on ${host} port ${port}: it is in use or not permitted. ${remedy}`));
    });
  });
}
