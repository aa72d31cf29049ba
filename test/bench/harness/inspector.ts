import { WebSocket } from "ws";

const WAIT_MS = 30_000;

/** Where a process that was started with `--inspect` listens, by what it printed. */
export function inspectorUrl(stderr: string): string {
  const found = /ws:\/\/127\.0\.0\.1:\d+\/\S+/.exec(stderr)?.[0];
  if (found === undefined) throw new Error("the process has no inspector");
  return found;
}

/** Has a process collect its garbage twice: what a first collection finalizes is freed by the second. */
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
        socket.once("close", () => reject(new Error("the inspector is gone")));
      });
      socket.send(JSON.stringify({ id, method: "HeapProfiler.collectGarbage" }));
      await done;
    }
  } finally {
    clearTimeout(timer);
    socket.terminate();
  }
}
