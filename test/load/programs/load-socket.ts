import { WebSocket } from "ws";

/** What matters of a frame to a load program. */
export interface LoadFrame {
  readonly type: string;
  readonly event?: string;
  readonly id?: string;
  readonly code?: string;
  readonly content?: string;
  readonly finish_reason?: string;
  readonly from?: number;
  readonly to?: number;
}

export interface LoadSocketOptions {
  readonly url: string;
  readonly protocols?: readonly string[];
  frame?(frame: LoadFrame): void;
  /** With the time in milliseconds since the socket was asked for. */
  closed?(code: number, reason: string, afterMs: number): void;
}

/** One client of a load program: thousands of them live in one process. */
export class LoadSocket {
  readonly opened: Promise<void>;
  readonly closed: Promise<void>;
  #code: number | null = null;
  readonly #socket: WebSocket;

  /** Connects; `opened` resolves with the welcome and rejects when the socket closes before it. */
  constructor({ url, protocols = [], frame, closed }: LoadSocketOptions) {
    const began = performance.now();
    const socket = new WebSocket(url, [...protocols], { perMessageDeflate: false });
    this.#socket = socket;
    // A fault shows as a close.
    socket.on("error", () => {});
    let finished = (): void => {};
    this.closed = new Promise((resolve) => (finished = resolve));
    this.opened = new Promise((resolve, reject) => {
      socket.on("message", (data: Buffer) => {
        const parsed = JSON.parse(data.toString("utf8")) as LoadFrame;
        if (parsed.event === "welcome") resolve();
        frame?.(parsed);
      });
      socket.on("close", (code, reason) => {
        this.#code = code;
        closed?.(code, reason.toString("utf8"), performance.now() - began);
        finished();
        reject(new Error(`closed with ${code} ${reason.toString("utf8")} before the welcome`));
      });
    });
    this.opened.catch(() => {});
  }

  /** The code that the socket was closed with; null while it is open. */
  get code(): number | null {
    return this.#code;
  }

  send(frame: object): void {
    this.#socket.send(JSON.stringify(frame));
  }

  cut(): void {
    this.#socket.terminate();
  }
}

/** Opens sockets in groups, since a backlog that overflows would cost seconds of waiting. */
export async function openAll(count: number, make: (index: number) => LoadSocket): Promise<LoadSocket[]> {
  const sockets: LoadSocket[] = [];
  for (let first = 0; first < count; first += GROUP) {
    const group = Array.from({ length: Math.min(GROUP, count - first) }, (_, index) => make(first + index));
    await Promise.all(group.map(({ opened }) => opened));
    sockets.push(...group);
  }
  return sockets;
}

const GROUP = 100;
