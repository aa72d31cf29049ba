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

export interface WireOptions {
  readonly path?: string;
  /** Lines of the upgrade request besides the usual ones. */
  readonly headers?: readonly string[];
  /** Milliseconds between the bytes of the upgrade request from `dripFrom` on; 0 sends it at once. */
  readonly drip?: number;
  /** Bytes of the upgrade request that come at once before the others drip; all of the request line by default. */
  readonly dripFrom?: number;
  /** Sends only so many bytes of the upgrade request. */
  readonly handshakeBytes?: number;
  /** Whether pings of the server are answered, as every real client does; true by default. */
  readonly answersPings?: boolean;
}

const WAIT_MS = 20_000;
const DROPPED: Closed = { code: 1006, reason: "" };

/**
 * A WebSocket client that is free to misbehave: it writes any bytes at any pace over plain TCP, and reads as fast or as
 * slowly as it is told. What the server sends is taken strictly.
 */
export class WireClient {
  /** JSON frames of the server, in order. */
  readonly frames: Frame[] = [];
  /** Payloads of the pongs that came. */
  readonly pongs: Buffer[] = [];
  /** Pings of the server that came so far. */
  pings = 0;
  /** Head of the server's HTTP answer; empty until it came. */
  head = "";
  /** How the connection ended: with the server's close code, or with 1006 when it sent none. */
  readonly closed: Promise<Closed>;
  readonly #socket: Socket;
  readonly #parser = new ServerFrameParser();
  readonly #answersPings: boolean;
  readonly #watchers = new Set<() => void>();
  #greeting: Buffer = Buffer.alloc(0);
  #close: Closed | null = null;
  #over = false;
  #fault: Error | null = null;

  constructor(port: number, options: WireOptions = {}) {
    this.#answersPings = options.answersPings ?? true;
    this.#socket = connect({ port, host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
    this.#socket.on("data", (chunk: Buffer) => this.#take(chunk));
    this.#socket.on("end", () => this.#socket.end());
    // A reset is an end like any other here.
    this.#socket.on("error", () => {});
    this.closed = new Promise((resolve) => {
      this.#socket.once("close", () => {
        this.#over = true;
        resolve(this.#close ?? DROPPED);
        this.#tell();
      });
    });
    void this.#shakeHands(port, options);
  }

  /** Opens and waits for the welcome. */
  static async greeted(port: number, options: WireOptions = {}): Promise<WireClient> {
    const client = new WireClient(port, options);
    await client.next(({ event }) => event === "welcome");
    return client;
  }

  get isClosed(): boolean {
    return this.#over;
  }

  /** Any bytes as they are. Nothing happens once the connection is over. */
  write(bytes: Buffer | string): void {
    if (this.#socket.writable) this.#socket.write(bytes);
  }

  frame(opcode: number, payload: Buffer | string = "", shape: FrameShape = {}): void {
    this.write(wireFrame(opcode, payload, shape));
  }

  send(frame: object): void {
    this.frame(opcodes.text, JSON.stringify(frame));
  }

  close(code?: number, reason: Buffer | string = ""): Promise<Closed> {
    this.write(closeFrame(code, reason));
    return this.closed;
  }

  /** Stops reading: what comes fills the buffers of both ends. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Reads for a moment, then not, until the connection ends: far slower than the server writes. */
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

  /** Says at TCP level that nothing more will come, without a close frame. */
  halfClose(): void {
    this.#socket.end();
  }

  /** Resets the connection. */
  cut(): void {
    this.#socket.resetAndDestroy();
  }

  /** The first frame from `from` on that `matches`; rejects when the connection ends or the server breaks the framing. */
  next(matches: (frame: Frame) => boolean, from = 0): Promise<Frame> {
    return this.#when(() => this.frames.slice(from).find(matches));
  }

  /** The payload of the pong number `index`. */
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
        settle(() => reject(new Error(`nothing of that kind in time; there were: ${seen}`)));
      }, WAIT_MS);
      this.#watchers.add(watch);
      watch();
    });
  }

  async #shakeHands(port: number, options: WireOptions): Promise<void> {
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
    const { dripFrom = request.indexOf("\n") + 1 } = options;
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
        this.#greeting = Buffer.concat([this.#greeting, chunk]);
        const end = this.#greeting.indexOf("\r\n\r\n");
        if (end === -1) return;
        this.head = this.#greeting.toString("latin1", 0, end);
        if (this.head.startsWith("HTTP/1.1 101")) this.#take(this.#greeting.subarray(end + 4));
      }
    } catch (error) {
      this.#fault = error as Error;
      this.#socket.destroy();
    }
    this.#tell();
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

  #tell(): void {
    for (const watch of [...this.#watchers]) watch();
  }
}
