import { WebSocket, type ClientOptions } from "ws";

/** A frame as received from the server. */
export interface Frame {
  readonly type: string;
  readonly [field: string]: unknown;
}

export interface Closed {
  readonly code: number;
  readonly reason: string;
}

/** Default limit on every wait, in milliseconds. */
const WAIT_MS = 60_000;

/** A WebSocket client for tests. It keeps every received frame and can wait for a certain one. */
export class ChatSocket {
  readonly frames: Frame[] = [];
  readonly closed: Promise<Closed>;
  readonly #socket: WebSocket;
  readonly #watchers = new Set<() => void>();
  #end: Closed | null = null;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on("message", (data: Buffer) => {
      this.frames.push(JSON.parse(data.toString("utf8")) as Frame);
      for (const watch of this.#watchers) watch();
    });
    this.closed = new Promise((resolve) => {
      socket.once("close", (code, reason) => {
        this.#end = { code, reason: reason.toString("utf8") };
        resolve(this.#end);
        for (const watch of this.#watchers) watch();
      });
    });
    // A cut connection is reported by the close event with 1006, and a refused upgrade rejects open().
    socket.on("error", () => {});
  }

  /** Connects. Rejects with the HTTP status if the upgrade is refused. */
  static open(url: string, protocols: string[] = [], options: ClientOptions = {}): Promise<ChatSocket> {
    const socket = new WebSocket(url, protocols, options);
    const chat = new ChatSocket(socket);
    return new Promise((resolve, reject) => {
      socket.once("open", () => resolve(chat));
      socket.once("unexpected-response", (_request, response) => {
        reject(new Error(`HTTP ${response.statusCode}`));
        socket.terminate();
      });
      socket.once("error", reject);
    });
  }

  /** Connects and waits for the welcome. */
  static async greeted(
    url: string,
    protocols: string[] = [],
    options: ClientOptions = {},
  ): Promise<ChatSocket> {
    const chat = await ChatSocket.open(url, protocols, options);
    await chat.next(({ event }) => event === "welcome");
    return chat;
  }

  get isClosed(): boolean {
    return this.#end !== null;
  }

  get protocol(): string {
    return this.#socket.protocol;
  }

  get welcome(): Frame {
    const [first] = this.frames;
    if (first === undefined) throw new Error("no frame has been received yet");
    return first;
  }

  send(frame: object | string | Buffer): void {
    this.#socket.send(typeof frame === "string" || Buffer.isBuffer(frame) ? frame : JSON.stringify(frame));
  }

  /** Sends bytes as a text frame, valid UTF-8 or not. */
  sendRawText(bytes: Buffer): void {
    this.#socket.send(bytes, { binary: false });
  }

  /**
   * The first frame that `matches`, already received or still to come.
   *
   * @param from index in {@link frames} at which to start
   * @throws Error if the socket closes or `waitMs` milliseconds pass before.
   */
  next(matches: (frame: Frame) => boolean, from = 0, waitMs = WAIT_MS): Promise<Frame> {
    return new Promise((resolve, reject) => {
      let at = from;
      const timer = setTimeout(() => {
        this.#watchers.delete(look);
        reject(
          new Error(
            `no such frame arrived within ${waitMs} ms; received: ${this.frames.map(({ type }) => type).join(", ")}`,
          ),
        );
      }, waitMs);
      const look = (): void => {
        for (; at < this.frames.length; at++) {
          const frame = this.frames[at] as Frame;
          if (matches(frame)) return finish(() => resolve(frame));
        }
        if (this.#end !== null)
          finish(() => reject(new Error(`closed with ${this.#end?.code} ${this.#end?.reason}`)));
      };
      const finish = (settle: () => void): void => {
        clearTimeout(timer);
        this.#watchers.delete(look);
        settle();
      };
      this.#watchers.add(look);
      look();
    });
  }

  /** Sends a message and waits for the frame that ends it. */
  async ask(
    message: string,
    fields: { readonly id?: string; readonly [field: string]: unknown } = {},
    waitMs = WAIT_MS,
  ): Promise<Frame> {
    const from = this.frames.length;
    this.send({ message, ...fields });
    const { id } = fields;
    const ends = ["message", "command_response", "error"];
    return this.next(
      (frame) => ends.includes(frame.type) && (id === undefined || frame["id"] === id),
      from,
      waitMs,
    );
  }

  /** Sends a command and returns its result. @throws Error if the reply is not a command response. */
  async command(text: string): Promise<Record<string, unknown>> {
    const frame = await this.ask(text);
    if (frame.type !== "command_response")
      throw new Error(`expected a command response, received ${JSON.stringify(frame)}`);
    return frame["result"] as Record<string, unknown>;
  }

  /** The joined text of the `token` frames of an answer. @throws Error if offsets leave a gap or overlap. */
  streamed(answer: unknown): string {
    let text = "";
    let at = 0;
    for (const frame of this.frames) {
      if (frame.type !== "token" || frame["answer"] !== answer) continue;
      if (frame["from"] !== at)
        throw new Error(`a token frame begins at ${String(frame["from"])}, not at ${at}`);
      text += frame["content"] as string;
      at = frame["to"] as number;
    }
    if (Buffer.byteLength(text) !== at)
      throw new Error(`offsets end at ${at}, the text has ${Buffer.byteLength(text)} bytes`);
    return text;
  }

  /** Stops reading, so that further data fills the buffers of both ends. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  close(): Promise<Closed> {
    this.#socket.close(1000);
    return this.closed;
  }

  /** Cuts the connection without a close frame. */
  cut(): void {
    this.#socket.terminate();
  }
}
