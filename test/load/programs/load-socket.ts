import { WebSocket } from "ws";

/** The fields of a frame that load programs use. */
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
  /** Called on close. `afterMs`: milliseconds since the connection was requested. */
  closed?(code: number, reason: string, afterMs: number): void;
}

/** One client of a load program, light enough for thousands of them in one process. */
export class LoadSocket {
  readonly opened: Promise<void>;
  readonly closed: Promise<void>;
  #code: number | null = null;
  readonly #socket: WebSocket;

  /** Connects. `opened` resolves when the welcome arrives and rejects if the socket closes before. */
  constructor({ url, protocols = [], frame, closed }: LoadSocketOptions) {
    const startedAt = performance.now();
    const socket = new WebSocket(url, [...protocols], { perMessageDeflate: false });
    this.#socket = socket;
    // An error is always followed by the close event.
    socket.on("error", () => {});
    let resolveClosed = (): void => {};
    this.closed = new Promise((resolve) => (resolveClosed = resolve));
    this.opened = new Promise((resolve, reject) => {
      socket.on("message", (data: Buffer) => {
        const parsed = JSON.parse(data.toString("utf8")) as LoadFrame;
        if (parsed.event === "welcome") resolve();
        frame?.(parsed);
      });
      socket.on("close", (code, reason) => {
        this.#code = code;
        closed?.(code, reason.toString("utf8"), performance.now() - startedAt);
        resolveClosed();
        reject(new Error(`closed with ${code} ${reason.toString("utf8")} before the welcome`));
      });
    });
    this.opened.catch(() => {});
  }

  /** The close code; null while the socket is open. */
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

/** Opens sockets in groups, since an overflowing backlog would cost seconds of waiting. */
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
