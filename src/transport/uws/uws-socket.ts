import type { WebSocket } from "uWebSockets.js";
import type { SendResult, Socket } from "../../session/socket.ts";

/** By uWebSockets.js' numbers. */
const sendResults: readonly SendResult[] = ["queued", "sent", "dropped"];

/** A socket of uWebSockets.js that may be called after its end: the library throws then. */
export class UwsSocket<UserData> implements Socket {
  #ws: WebSocket<UserData> | null;

  constructor(ws: WebSocket<UserData>) {
    this.#ws = ws;
  }

  get closed(): boolean {
    return this.#ws === null;
  }

  /** Called from the close handler: from here on the library's object is dead. */
  markClosed(): void {
    this.#ws = null;
  }

  send(text: string): SendResult {
    if (this.#ws === null) return "dropped";
    return sendResults[this.#ws.send(text)] ?? "dropped";
  }

  bufferedBytes(): number {
    return this.#ws?.getBufferedAmount() ?? 0;
  }

  cork(write: () => void): void {
    if (this.#ws === null) write();
    else this.#ws.cork(write);
  }

  end(code: number, reason: string): void {
    this.#ws?.end(code, reason);
  }
}
