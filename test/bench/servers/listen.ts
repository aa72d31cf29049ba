import uWS, { type TemplatedApp, type us_listen_socket } from "uWebSockets.js";

/** LIBUS_LISTEN_EXCLUSIVE_PORT; the enum of the types does not exist at run time. */
const EXCLUSIVE_PORT = 1;

/** Listens on a free loopback port, prints `listening <port>`, and ends the process with its starter. */
export function listenAndTell(app: TemplatedApp): void {
  // The types do not know host, port and options together.
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
