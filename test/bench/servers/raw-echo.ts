// The yardstick: uWebSockets.js with the settings of the service and the least a server can do, which is to send each
// frame back. Prints `listening <port>` and runs until it is killed or its starter is gone.
import uWS from "uWebSockets.js";
import { listenAndTell } from "./listen.ts";

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
listenAndTell(app);
