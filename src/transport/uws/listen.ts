import type { TemplatedApp, us_listen_socket } from "uWebSockets.js";

/** LIBUS_LISTEN_EXCLUSIVE_PORT; the enum of the types does not exist at run time. */
const EXCLUSIVE_PORT = 1;

/**
 * Listens on a port that no other server has. Without the exclusive option a second server on the port would share its
 * clients without any error.
 *
 * @throws Error with one clear line when the port is taken or not allowed.
 */
export function listenOn(app: TemplatedApp, host: string, port: number): Promise<us_listen_socket> {
  // The library takes host, port and options together, but its types lack that form.
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
      const remedy = "Is another server running? Set PORT to a free one.";
      reject(new Error(`Cannot listen on ${host} port ${port}: it is taken or not allowed. ${remedy}`));
    });
  });
}
