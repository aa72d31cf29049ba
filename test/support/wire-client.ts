import { connect, type Socket } from "node:net";
import type { Closed, Frame } from "./chat-socket.ts";
import {
  closeFrame,
  opcodes,
  ServerFrameParser,
  wireFrame,
  type FrameShape,
  type ServerWireFrame,
} from "./wire-frames.ts";

/** Settings of a {@link WireClient}. */
export interface WireOptions {
  readonly path?: string;
  /** Additional header lines of the upgrade request. */
  readonly headers?: readonly string[];
  /** Milliseconds between the bytes of the upgrade request after its request line; 0 sends it at once. */
  readonly drip?: number;
  /** Number of bytes of the upgrade request that are sent; default: all. */
  readonly handshakeBytes?: number;
  /** Whether the client replies to pings, as every real client does; default true. */
  readonly answersPings?: boolean;
}

/** Timeout of waits, in milliseconds. */
const WAIT_MS = 50_000;

/** Close code and reason reported for a connection that ended without a close frame. */
const DROPPED: Closed = { code: 1006, reason: "" };

/**
 * A WebSocket client that can misbehave: it writes arbitrary bytes over plain TCP, and a test controls its pace of
 * reading and writing. It checks strictly what the server sends.
 */
export class WireClient {
  /** Received JSON frames, in order. */
  readonly frames: Frame[] = [];
  /** Payloads of the received pongs. */
  readonly pongs: Buffer[] = [];
  /** Number of received pings. */
  pings = 0;
  /** Status line and headers of the server's HTTP response; empty before it has arrived. */
  head = "";
  /** How the connection ended: with the server's close code, or 1006 without a close frame. */
  readonly closed: Promise<Closed>;
  readonly #socket: Socket;
  readonly #parser = new ServerFrameParser();
  readonly #answersPings: boolean;
  readonly #watchers = new Set<() => void>();
  #handshake: Buffer = Buffer.alloc(0);
  #close: Closed | null = null;
  #over = false;
  #fault: Error | null = null;

  constructor(port: number, options: WireOptions = {}) {
    this.#answersPings = options.answersPings ?? true;
    this.#socket = connect({ port, host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
    this.#socket.on("data", (chunk: Buffer) => this.#take(chunk));
    this.#socket.on("end", () => this.#socket.end());
    // A reset counts as a normal end.
    this.#socket.on("error", () => {});
    this.closed = new Promise((resolve) => {
      this.#socket.once("close", () => {
        this.#over = true;
        resolve(this.#close ?? DROPPED);
        this.#notifyWatchers();
      });
    });
    void this.#sendHandshake(port, options);
  }

  /** Connects and waits for the welcome. */
  static async greeted(port: number, options: WireOptions = {}): Promise<WireClient> {
    const client = new WireClient(port, options);
    await client.next(({ event }) => event === "welcome");
    return client;
  }

  get isClosed(): boolean {
    return this.#over;
  }

  /** Writes bytes unchanged; does nothing after the connection has ended. */
  write(bytes: Buffer | string): void {
    if (this.#socket.writable) this.#socket.write(bytes);
  }

  /** Resolves when the kernel has received everything written so far, or the connection has ended. */
  written(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#socket.writable) this.#socket.write("", () => resolve());
      else resolve();
    });
  }

  /** Sends one WebSocket frame. */
  frame(opcode: number, payload: Buffer | string = "", shape: FrameShape = {}): void {
    this.write(wireFrame(opcode, payload, shape));
  }

  /** Sends an object as a text frame of JSON. */
  send(frame: object): void {
    this.frame(opcodes.text, JSON.stringify(frame));
  }

  /** Sends a close frame and waits for the end of the connection. */
  close(code?: number, reason: Buffer | string = ""): Promise<Closed> {
    this.write(closeFrame(code, reason));
    return this.closed;
  }

  /** Stops reading, so that the buffers of both ends fill up. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Reads one chunk every `everyMs` milliseconds until the connection ends: far slower than the server writes. */
  readInSips(everyMs: number): void {
    const sip = (): void => {
      if (this.#over) return;
      this.#socket.resume();
      this.#socket.once("data", () => {
        this.#socket.pause();
        setTimeout(sip, everyMs);
      });
    };
    sip();
  }

  /** Sends a TCP FIN without a close frame. */
  halfClose(): void {
    this.#socket.end();
  }

  /** Resets the connection. */
  cut(): void {
    this.#socket.resetAndDestroy();
  }

  /** Waits for the first frame from index `from` on that `matches`; rejects if the connection or the framing breaks. */
  next(matches: (frame: Frame) => boolean, from = 0): Promise<Frame> {
    return this.#when(() => this.frames.slice(from).find(matches));
  }

  /** Waits for the payload of pong number `index`. */
  pong(index: number): Promise<Buffer> {
    return this.#when(() => this.pongs[index]);
  }

  #when<T>(look: () => T | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      const settle = (act: () => void): void => {
        clearTimeout(timer);
        this.#watchers.delete(watch);
        act();
      };
      const watch = (): void => {
        const found = look();
        if (found !== undefined) settle(() => resolve(found));
        else if (this.#fault !== null) settle(() => reject(this.#fault));
        else if (this.#over) settle(() => reject(new Error(`closed with ${(this.#close ?? DROPPED).code}`)));
      };
      const timer = setTimeout(() => {
        const seen = this.frames.map(({ type }) => type).join(", ");
        settle(() => reject(new Error(`timeout: no such frame; received: ${seen}`)));
      }, WAIT_MS);
      this.#watchers.add(watch);
      watch();
    });
  }

  async #sendHandshake(port: number, options: WireOptions): Promise<void> {
    const { path = "/ws/chat?stream=true", headers = [], drip = 0, handshakeBytes } = options;
    const request = [
      `GET ${path} HTTP/1.1`,
      `Host: 127.0.0.1:${port}`,
      "Upgrade: websocket",
      "Connection: Upgrade",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
      "Sec-WebSocket-Version: 13",
      ...headers,
      "",
      "",
    ]
      .join("\r\n")
      .slice(0, handshakeBytes);
    if (drip === 0) {
      this.write(request);
      return;
    }
    const dripFrom = request.indexOf("\n") + 1;
    this.write(request.slice(0, dripFrom));
    for (const char of request.slice(dripFrom)) {
      this.write(char);
      await new Promise((resolve) => setTimeout(resolve, drip));
    }
  }

  #take(chunk: Buffer): void {
    try {
      if (this.head !== "") {
        for (const frame of this.#parser.push(chunk)) this.#onFrame(frame);
      } else {
        this.#handshake = Buffer.concat([this.#handshake, chunk]);
        const end = this.#handshake.indexOf("\r\n\r\n");
        if (end === -1) return;
        this.head = this.#handshake.toString("latin1", 0, end);
        if (this.head.startsWith("HTTP/1.1 101")) this.#take(this.#handshake.subarray(end + 4));
      }
    } catch (error) {
      this.#fault = error as Error;
      this.#socket.destroy();
    }
    this.#notifyWatchers();
  }

  #onFrame({ opcode, payload }: ServerWireFrame): void {
    if (opcode === opcodes.text) {
      this.frames.push(JSON.parse(payload.toString("utf8")) as Frame);
    } else if (opcode === opcodes.ping) {
      this.pings++;
      if (this.#answersPings) this.frame(opcodes.pong, Buffer.from(payload));
    } else if (opcode === opcodes.pong) {
      this.pongs.push(Buffer.from(payload));
    } else if (opcode === opcodes.close) {
      const code = payload.length >= 2 ? payload.readUInt16BE() : 1005;
      this.#close ??= { code, reason: payload.toString("utf8", 2) };
    } else {
      throw new Error(`the server sent a frame with opcode ${opcode}`);
    }
  }

  #notifyWatchers(): void {
    for (const watch of [...this.#watchers]) watch();
  }
}
