// The yardstick: uWebSockets.js with the service's socket settings, which only sends each frame back, and answers HTTP
// requests with a few bytes. Prints `listening <port>` and runs until it is killed or its parent process exits.
import uWS from "uWebSockets.js";
import { listenAndPrintPort } from "./listen.ts";

const app = uWS
  .App()
  .ws("/*", {
    compression: uWS.DISABLED,
    maxPayloadLength: 262_144,
    maxBackpressure: 8_388_608,
    idleTimeout: 120,
    sendPingsAutomatically: true,
    message: (ws, message, isBinary) => {
      ws.send(message, isBinary);
    },
  })
  .any("/*", (response) => {
    response.end("ok\n");
  });
listenAndPrintPort(app);
