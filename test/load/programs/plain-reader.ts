import { createHash, type Hash } from "node:crypto";
import { WebSocket } from "ws";

/** An answer as one reader received it. */
export interface ReadAnswer {
  /** SHA-256 of the text of the `token` frames, in hexadecimal. */
  readonly streamedHash: string;
  /** SHA-256 of the closing frame's text, in hexadecimal. */
  readonly contentHash: string;
  readonly bytes: number;
  readonly reason: string;
}

interface Frame {
  readonly type: string;
  readonly answer?: string;
  readonly content?: string;
  readonly from?: number;
  readonly to?: number;
  readonly finish_reason?: string;
  readonly code?: string;
  readonly event?: string;
}

export const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

/** A cheap reader, which hashes what it reads and keeps nothing. One answer at a time. */
export class PlainReader {
  /** Milliseconds between consecutive pieces of text, also across two answers, while `measures` is true. */
  readonly gaps: number[] = [];
  measures = false;
  readonly #socket: WebSocket;
  #hash: Hash = createHash("sha256");
  #answer: string | undefined;
  #at = 0;
  #lastAt: number | undefined;
  #acks = false;
  #settle: ((answer: ReadAnswer | Error) => void) | undefined;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on("message", (data: Buffer) => this.#take(data));
    socket.on("error", (error) => this.#settle?.(error));
    socket.on("close", (code) => this.#settle?.(new Error(`closed with ${code}`)));
  }

  /** Connects and waits for the welcome. */
  static open(url: string): Promise<PlainReader> {
    const socket = new WebSocket(`${url}?stream=true`, {
      perMessageDeflate: false,
      skipUTF8Validation: true,
      maxPayload: 256 * 1024 * 1024,
    });
    return new Promise((resolve, reject) => {
      socket.once("error", reject);
      socket.once("message", () => {
        socket.off("error", reject);
        resolve(new PlainReader(socket));
      });
    });
  }

  /** Offset up to which the text has been received. */
  get at(): number {
    return this.#at;
  }

  /** Sends a message and resolves with its answer. Rejects if it ends with an error or the socket closes. */
  ask(message: string, fields: object = {}): Promise<ReadAnswer> {
    this.#hash = createHash("sha256");
    this.#answer = undefined;
    this.#at = 0;
    return new Promise((resolve, reject) => {
      this.#settle = (answer) => {
        this.#settle = undefined;
        if (answer instanceof Error) reject(answer);
        else resolve(answer);
      };
      this.#socket.send(JSON.stringify({ message, ...fields }));
    });
  }

  /** Acknowledges the text so far and, from now on, all further text. */
  acknowledge(): void {
    this.#acks = true;
    this.#ack();
  }

  /** Stops reading and acknowledging. */
  stall(): void {
    this.#acks = false;
    this.#socket.pause();
  }

  resumeReading(): void {
    this.#socket.resume();
  }

  close(): void {
    this.#socket.terminate();
  }

  #take(data: Buffer): void {
    const frame = JSON.parse(data.toString()) as Frame;
    if (frame.type === "token") this.#takeText(frame);
    else if (frame.type === "message") this.#end(frame);
    else if (frame.type === "error") this.#settle?.(new Error(`error ${frame.code ?? ""}`));
    else if (frame.type !== "queued")
      this.#settle?.(new Error(`unexpected frame: ${frame.type} ${frame.event ?? ""}`));
  }

  #takeText({ answer, content = "", from = 0, to = 0 }: Frame): void {
    if (from !== this.#at) {
      this.#settle?.(new Error(`a piece begins at ${from}, not at ${this.#at}`));
      return;
    }
    const now = performance.now();
    if (this.measures && this.#lastAt !== undefined) this.gaps.push(now - this.#lastAt);
    this.#lastAt = now;
    this.#answer = answer;
    this.#at = to;
    this.#hash.update(content);
    if (this.#acks) this.#ack();
  }

  #ack(): void {
    if (this.#answer === undefined) return;
    this.#socket.send(JSON.stringify({ type: "ack", answer: this.#answer, to: this.#at }));
  }

  #end({ content = "", finish_reason: reason = "" }: Frame): void {
    this.#settle?.({
      streamedHash: this.#hash.digest("hex"),
      contentHash: sha256(content),
      bytes: this.#at,
      reason,
    });
  }
}
