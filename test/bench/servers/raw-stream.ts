// The yardstick of paced tokens: uWebSockets.js with the settings of the service and the least a server can do to send as
// many frames of as many bytes at the same pace. A client asks with {"frames","bytes","ms"}; its last frame begins like
// the service's closing one. Prints `listening <port>` and runs until it is killed or its starter is gone.
import uWS, { type WebSocket } from "uWebSockets.js";
import { listenAndTell } from "./listen.ts";

/** One beat for all: each millisecond those are served that are due in it. */
const BEAT_MS = 1;

interface Stream {
  readonly socket: WebSocket<unknown>;
  readonly frame: string;
  readonly everyBeats: number;
  left: number;
}

const slots = new Map<number, Stream[]>();
let beat = 0;
let startedAt = 0;
let running = 0;

function due(at: number, stream: Stream): void {
  const slot = slots.get(at);
  if (slot === undefined) slots.set(at, [stream]);
  else slot.push(stream);
}

function serve(): void {
  const now = Math.floor((performance.now() - startedAt) / BEAT_MS);
  for (; beat <= now; beat++) {
    const slot = slots.get(beat);
    if (slot === undefined) continue;
    slots.delete(beat);
    for (const stream of slot) send(stream);
  }
  if (running > 0) setTimeout(serve, BEAT_MS);
}

function send(stream: Stream): void {
  stream.left--;
  if (stream.left > 0) {
    stream.socket.send(stream.frame);
    due(beat + stream.everyBeats, stream);
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
    const everyBeats = Math.max(Math.round(ms / frames / BEAT_MS), 1);
    if (running++ === 0) {
      startedAt = performance.now();
      beat = 0;
      setTimeout(serve, BEAT_MS);
    }
    due(Math.floor((performance.now() - startedAt) / BEAT_MS) + everyBeats, {
      socket,
      frame: frame.padEnd(bytes, " "),
      everyBeats,
      left: frames,
    });
  },
});
listenAndTell(app);
