import uWS, { type TemplatedApp, type us_listen_socket } from "uWebSockets.js";

/** LIBUS_LISTEN_EXCLUSIVE_PORT. The enum exists only in the type declarations. */
const EXCLUSIVE_PORT = 1;

/** Listens on a free loopback port and prints `listening <port>`. Exits when the parent process exits. */
export function listenAndPrintPort(app: TemplatedApp): void {
  // The type declarations lack the overload with host, port and options.
  const listen = app.listen.bind(app) as unknown as (
    host: string,
    port: number,
    options: number,
    callback: (socket: us_listen_socket | false) => void,
  ) => void;
  listen("127.0.0.1", 0, EXCLUSIVE_PORT, (socket) => {
    if (socket === false) throw new Error("cannot listen on 127.0.0.1");
    console.log(`listening ${uWS.us_socket_local_port(socket)}`);
  });
  process.on("disconnect", () => process.exit(0));
}
