import { connect, createServer, type AddressInfo, type Socket } from "node:net";

/** How a connection is cut: `rst` is a reset as after a crash, `fin` an orderly end as by a proxy that times out. */
export type CutKind = "rst" | "fin";

/** Faults that a proxy applies to the bytes it forwards. Changes apply from the next chunk on. */
export interface LineFaults {
  /** Delay of each chunk in each direction, in milliseconds. */
  delayMs: number;
  /** Maximum bytes per second from the server to the client, per connection; 0 is unlimited. */
  bytesPerSecond: number;
  /** Cuts a connection after this many bytes from the server to the client; 0 never does. */
  cutAfterBytes: number;
  cutKind: CutKind;
}

/** One client's connection through the proxy. */
export interface ProxiedLine {
  /** Bytes forwarded from the server to the client. */
  readonly bytesDown: number;
  /** Bytes forwarded from the client to the server. */
  readonly bytesUp: number;
  readonly closed: boolean;
  /** Cuts both ends now. */
  cut(kind?: CutKind): void;
  /** Stops forwarding in both directions without closing, like a network that is down. */
  freeze(): void;
  thaw(): void;
}

export interface TcpProxy {
  readonly port: number;
  readonly faults: LineFaults;
  /** All connections since the start, the latest last. */
  readonly lines: readonly ProxiedLine[];
  /** While false, new connections are reset. */
  accepting: boolean;
  cutAll(kind?: CutKind): void;
  close(): Promise<void>;
}

/** Milliseconds between two writes of a throttled connection. */
const SLICE_MS = 20;

/** Starts a proxy between clients and a server on this machine, which can slow down, delay and cut connections. */
export async function startTcpProxy(targetPort: number, faults: Partial<LineFaults> = {}): Promise<TcpProxy> {
  const currentFaults: LineFaults = {
    delayMs: 0,
    bytesPerSecond: 0,
    cutAfterBytes: 0,
    cutKind: "rst",
    ...faults,
  };
  const lines: Line[] = [];
  const state = { accepting: true };
  const server = createServer({ noDelay: true, pauseOnConnect: true, allowHalfOpen: true }, (client) => {
    if (state.accepting) lines.push(new Line(client, targetPort, currentFaults));
    else client.resetAndDestroy();
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", 4096, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    faults: currentFaults,
    lines,
    get accepting() {
      return state.accepting;
    },
    set accepting(value) {
      state.accepting = value;
    },
    cutAll(kind) {
      for (const line of lines) line.cut(kind);
    },
    close() {
      for (const line of lines) line.cut("rst");
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

class Line implements ProxiedLine {
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #faults: LineFaults;
  readonly #down: Direction;
  readonly #up: Direction;
  #closed = false;

  constructor(client: Socket, targetPort: number, faults: LineFaults) {
    this.#client = client;
    this.#faults = faults;
    this.#server = connect({
      port: targetPort,
      host: "127.0.0.1",
      noDelay: true,
      allowHalfOpen: true,
    });
    const cut = (): void => this.cut();
    this.#down = new Direction(this.#server, client, faults, { throttled: true, passed: cut });
    this.#up = new Direction(client, this.#server, faults, { throttled: false, passed: () => {} });
    for (const socket of [client, this.#server]) {
      // A reset by either end cuts both.
      socket.on("error", () => this.cut("rst"));
      socket.on("close", () => this.#end());
    }
    client.resume();
  }

  get bytesDown(): number {
    return this.#down.passedBytes;
  }

  get bytesUp(): number {
    return this.#up.passedBytes;
  }

  get closed(): boolean {
    return this.#closed;
  }

  cut(kind: CutKind = this.#faults.cutKind): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stop();
    for (const socket of [this.#client, this.#server]) {
      if (kind === "rst") socket.resetAndDestroy();
      else {
        socket.resume();
        socket.end();
        // Do not wait for a peer that never closes its end.
        setTimeout(() => socket.destroy(), 1_000).unref();
      }
    }
  }

  freeze(): void {
    this.#down.frozen = true;
    this.#up.frozen = true;
  }

  thaw(): void {
    this.#down.frozen = false;
    this.#up.frozen = false;
  }

  /** Called when one end has closed. The other end is closed once its pending bytes are written. */
  #end(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stop();
    this.#client.destroySoon();
    this.#server.destroySoon();
  }

  #stop(): void {
    this.#down.stop();
    this.#up.stop();
  }
}

interface DirectionOptions {
  readonly throttled: boolean;
  /** Called when the byte count of a planned cut is reached. */
  passed(): void;
}

/** Forwards one direction. It buffers at most one chunk, so that a slow connection slows down its sender as usual. */
class Direction {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #faults: LineFaults;
  readonly #options: DirectionOptions;
  #waiting: Buffer[] = [];
  #timer: NodeJS.Timeout | undefined;
  #ended = false;
  #frozen = false;
  passedBytes = 0;

  constructor(from: Socket, to: Socket, faults: LineFaults, options: DirectionOptions) {
    this.#from = from;
    this.#to = to;
    this.#faults = faults;
    this.#options = options;
    from.on("data", (chunk: Buffer) => this.#take(chunk));
    from.on("end", () => {
      this.#ended = true;
      this.#flush();
    });
    to.on("drain", () => this.#flush());
  }

  get frozen(): boolean {
    return this.#frozen;
  }

  set frozen(value: boolean) {
    this.#frozen = value;
    if (value) this.#from.pause();
    else this.#flush();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#waiting = [];
  }

  #take(chunk: Buffer): void {
    this.#waiting.push(chunk);
    this.#from.pause();
    const { delayMs } = this.#faults;
    if (delayMs > 0) this.#later(delayMs);
    else this.#flush();
  }

  #later(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#flush(), ms);
  }

  #flush(): void {
    if (this.#frozen) return;
    const { bytesPerSecond, cutAfterBytes } = this.#faults;
    const head = this.#waiting[0];
    if (head === undefined) {
      if (this.#ended) this.#to.end();
      else this.#from.resume();
      return;
    }
    if (this.#to.writableNeedDrain) return;
    const slowed = this.#options.throttled && bytesPerSecond > 0;
    let size = slowed
      ? Math.min(head.length, Math.max(1, Math.floor((bytesPerSecond * SLICE_MS) / 1000)))
      : head.length;
    const cuts = this.#options.throttled && cutAfterBytes > 0 && this.passedBytes + size >= cutAfterBytes;
    if (cuts) size = Math.max(0, cutAfterBytes - this.passedBytes);
    this.passedBytes += size;
    this.#to.write(head.subarray(0, size));
    if (size === head.length) this.#waiting.shift();
    else this.#waiting[0] = head.subarray(size);
    if (cuts) this.#options.passed();
    else if (slowed) this.#later(SLICE_MS);
    else this.#flush();
  }
}
