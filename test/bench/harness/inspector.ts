import { WebSocket } from "ws";

/** Longest wait for the inspector, in milliseconds. */
const WAIT_MS = 30_000;

/** Inspector URL in the standard error of a process started with `--inspect`. @throws Error if there is none. */
export function inspectorUrl(stderr: string): string {
  const found = /ws:\/\/127\.0\.0\.1:\d+\/\S+/.exec(stderr)?.[0];
  if (found === undefined) throw new Error("the process printed no inspector URL");
  return found;
}

/** Forces garbage collection twice, since objects finalized by the first collection are freed by the second. */
export async function collectGarbage(url: string): Promise<void> {
  const socket = new WebSocket(url);
  const timer = setTimeout(() => socket.terminate(), WAIT_MS);
  try {
    await new Promise((resolve, reject) => {
      socket.once("open", resolve);
      socket.once("error", reject);
    });
    for (let id = 1; id <= 2; id++) {
      const done = new Promise<void>((resolve, reject) => {
        socket.on("message", (data: Buffer) => {
          if ((JSON.parse(data.toString()) as { id?: number }).id === id) resolve();
        });
        socket.once("close", () => reject(new Error("the inspector closed the connection")));
      });
      socket.send(JSON.stringify({ id, method: "HeapProfiler.collectGarbage" }));
      await done;
    }
  } finally {
    clearTimeout(timer);
    socket.terminate();
  }
}
