// A chat client for k6 scripts. It returns frames as objects, in order, and limits the time of every wait.
import { WebSocket } from "k6/websockets";
import { clearTimeout, setTimeout } from "k6/timers";

/** Whether a connection ended without a close frame or never opened: code 1006, or undefined in k6. */
export function isAbnormalClose(code) {
  return code === undefined || code === 1006;
}

/** Length of a text in UTF-8 bytes, the unit of the offsets of answers. */
export function utf8Bytes(text) {
  let bytes = 0;
  for (const character of text) {
    const point = character.codePointAt(0);
    bytes += point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
  }
  return bytes;
}

/** One socket, whose frames are read one by one. */
export class ChatClient {
  #socket;
  #frames = [];
  #waiting = null;
  #closeCode = null;
  #error = "";
  #pongs = 0;
  #waitingForPong = null;
  #waitingForClose = null;
  #createdAt = Date.now();
  #firstFrameMs = null;
  #open = false;

  constructor(url) {
    this.#socket = new WebSocket(url);
    this.#socket.addEventListener("open", () => (this.#open = true));
    this.#socket.addEventListener("message", ({ data }) => {
      this.#firstFrameMs ??= Date.now() - this.#createdAt;
      this.#frames.push(JSON.parse(data));
      this.#waiting?.();
    });
    this.#socket.addEventListener("pong", () => {
      this.#pongs++;
      this.#waitingForPong?.();
    });
    // Each error is followed by a close event with the code.
    this.#socket.addEventListener("error", ({ error }) => (this.#error = error));
    this.#socket.addEventListener("close", ({ code }) => this.#end(code));
  }

  /** The close code; null while the socket is open, undefined if it never opened. */
  get closeCode() {
    return this.#closeCode;
  }

  get open() {
    return this.#open;
  }

  /** Milliseconds from the constructor call to the first frame; null until then. */
  get firstFrameMs() {
    return this.#firstFrameMs;
  }

  /** Whether a frame is waiting or arrives within `ms` milliseconds. */
  async receives(ms) {
    if (this.#frames.length > 0) return true;
    try {
      await this.#until(ms, "a frame", (wake) => (this.#waiting = wake));
    } catch {
      // Nothing arrived in time, so the result is false.
    }
    return this.#frames.length > 0;
  }

  send(frame) {
    this.#socket.send(JSON.stringify(frame));
  }

  /** Sends text unchanged, for frames that are wrong on purpose. */
  sendText(text) {
    this.#socket.send(text);
  }

  /** The next frame. Rejects if none arrives within `ms` milliseconds or the socket has closed. */
  async next(ms = 10_000) {
    if (this.#frames.length === 0) {
      await this.#until(ms, "a frame", (wake) => (this.#waiting = wake));
    }
    const frame = this.#frames.shift();
    if (frame === undefined) throw new Error(`the socket closed with ${this.#closeCode} ${this.#error}`);
    return frame;
  }

  /** Reads frames up to and including the first one of these types. */
  async nextUntil(types, ms = 10_000) {
    const frames = [await this.next(ms)];
    while (!types.includes(frames[frames.length - 1].type)) frames.push(await this.next(ms));
    return frames;
  }

  /** Sends a ping of the WebSocket protocol and waits for the pong. */
  async ping(ms = 5_000) {
    const before = this.#pongs;
    this.#socket.ping();
    if (this.#pongs === before) await this.#until(ms, "a pong", (wake) => (this.#waitingForPong = wake));
    return this.#pongs > before;
  }

  /** Closes with 1000 and resolves with the server's close code. */
  async close(ms = 5_000) {
    this.#socket.close(1000);
    if (this.#closeCode === null)
      await this.#until(ms, "the close", (wake) => (this.#waitingForClose = wake));
    return this.#closeCode;
  }

  #until(ms, what, wait) {
    if (this.#closeCode !== null) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${what} did not arrive within ${ms} ms`)), ms);
      wait(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #end(code) {
    this.#open = false;
    this.#closeCode = code;
    for (const wake of [this.#waiting, this.#waitingForPong, this.#waitingForClose]) wake?.();
  }
}

/** Makes k6 write its figures to a file instead of printing them. */
export function summaryTo(path) {
  return (data) => (path === undefined ? {} : { [path]: JSON.stringify(data) });
}
