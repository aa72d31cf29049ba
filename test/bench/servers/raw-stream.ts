// The yardstick of paced-tokens: uWebSockets.js with the service's socket settings, which only sends the same number of
// frames and bytes at the same pace. A request is {"frames","bytes","ms"}. The last frame begins like the service's
// closing frame. Prints `listening <port>` and runs until it is killed or its parent process exits.
import uWS, { type WebSocket } from "uWebSockets.js";
import { listenAndPrintPort } from "./listen.ts";

/** Milliseconds per tick of the one timer for all streams. Each tick sends the frames that are due in it. */
const TICK_MS = 1;

interface Stream {
  readonly socket: WebSocket<unknown>;
  readonly frame: string;
  readonly everyTicks: number;
  left: number;
}

const slots = new Map<number, Stream[]>();
let tick = 0;
let startedAt = 0;
let running = 0;

function schedule(at: number, stream: Stream): void {
  const slot = slots.get(at);
  if (slot === undefined) slots.set(at, [stream]);
  else slot.push(stream);
}

function sendDue(): void {
  const now = Math.floor((performance.now() - startedAt) / TICK_MS);
  for (; tick <= now; tick++) {
    const slot = slots.get(tick);
    if (slot === undefined) continue;
    slots.delete(tick);
    for (const stream of slot) send(stream);
  }
  if (running > 0) setTimeout(sendDue, TICK_MS);
}

function send(stream: Stream): void {
  stream.left--;
  if (stream.left > 0) {
    stream.socket.send(stream.frame);
    schedule(tick + stream.everyTicks, stream);
    return;
  }
  stream.socket.send('{"type":"message"}');
  running--;
}

const app = uWS.App().ws("/*", {
  compression: uWS.DISABLED,
  maxPayloadLength: 262_144,
  maxBackpressure: 8_388_608,
  idleTimeout: 120,
  sendPingsAutomatically: true,
  message: (socket, message) => {
    const { frames, bytes, ms } = JSON.parse(Buffer.from(message).toString()) as {
      frames: number;
      bytes: number;
      ms: number;
    };
    const frame = '{"type":"token","content":""}';
    const everyTicks = Math.max(Math.round(ms / frames / TICK_MS), 1);
    if (running++ === 0) {
      startedAt = performance.now();
      tick = 0;
      setTimeout(sendDue, TICK_MS);
    }
    schedule(Math.floor((performance.now() - startedAt) / TICK_MS) + everyTicks, {
      socket,
      frame: frame.padEnd(bytes, " "),
      everyTicks,
      left: frames,
    });
  },
});
listenAndPrintPort(app);
