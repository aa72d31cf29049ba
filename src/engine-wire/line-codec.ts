import type { ControlMessage, ControlReply } from "./control.ts";
import type { EngineMessage, GatewayMessage } from "./requests.ts";

/** A longer line is a fault of the other side: the connection is closed. In UTF-16 units. */
export const MAX_LINE_CHARS = 8 * 1_048_576;

/** One message as it goes over a channel. JSON escapes lone surrogates and new lines, so any text survives. */
export function encodeLine(message: GatewayMessage | EngineMessage | ControlMessage | ControlReply): string {
  return `${JSON.stringify(message)}\n`;
}

/** Cuts a stream of text into messages. Feed it with `setEncoding("utf8")` chunks. */
export class LineDecoder<T> {
  #rest = "";
  readonly #limit: number;

  constructor(limit: number = MAX_LINE_CHARS) {
    this.#limit = limit;
  }

  /** @throws Error when a line is longer than the limit or is not JSON. */
  push(chunk: string): T[] {
    const messages: T[] = [];
    let from = 0;
    for (;;) {
      const end = chunk.indexOf("\n", from);
      if (end < 0) break;
      const line = this.#rest + chunk.slice(from, end);
      this.#rest = "";
      from = end + 1;
      if (line.length > this.#limit) throw new Error(`a line of ${line.length} characters is over the limit`);
      messages.push(JSON.parse(line) as T);
    }
    this.#rest += from === 0 ? chunk : chunk.slice(from);
    if (this.#rest.length > this.#limit) throw new Error(`a line is over ${this.#limit} characters`);
    return messages;
  }
}
