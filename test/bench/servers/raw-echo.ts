// The yardstick: uWebSockets.js with the settings of the service and the least a server can do, which is to send each
// frame back. Prints `listening <port>` and runs until it is killed or its starter is gone.
import uWS, { type us_listen_socket } from "uWebSockets.js";

/** LIBUS_LISTEN_EXCLUSIVE_PORT; the enum of the types does not exist at run time. */
const EXCLUSIVE_PORT = 1;

const app = uWS.App().ws("/*", {
  compression: uWS.DISABLED,
  maxPayloadLength: 262_144,
  maxBackpressure: 8_388_608,
  idleTimeout: 120,
  sendPingsAutomatically: true,
  message: (ws, message, isBinary) => {
    ws.send(message, isBinary);
  },
});
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
