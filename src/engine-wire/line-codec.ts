import type { ControlMessage, ControlReply } from "./control.ts";
import type { EngineMessage, GatewayMessage } from "./requests.ts";

/** Longest line accepted, in UTF-16 units. A longer one is a fault of the peer and closes the connection. */
export const MAX_LINE_CHARS = 8 * 1_048_576;

/** Encodes a message as one line. JSON escapes lone surrogates and new lines, so any text is preserved. */
export function encodeLine(message: GatewayMessage | EngineMessage | ControlMessage | ControlReply): string {
  return `${JSON.stringify(message)}\n`;
}

/** Splits a stream of text into messages. Chunks must come from a stream with `setEncoding("utf8")`. */
export class LineDecoder<T> {
  #rest = "";
  readonly #limit: number;

  constructor(limit: number = MAX_LINE_CHARS) {
    this.#limit = limit;
  }

  /** @returns the messages that are now complete. @throws Error when a line exceeds the limit or is not JSON. */
  push(chunk: string): T[] {
    const messages: T[] = [];
    let from = 0;
    for (;;) {
      const end = chunk.indexOf("\n", from);
      if (end < 0) break;
      const line = this.#rest + chunk.slice(from, end);
      this.#rest = "";
      from = end + 1;
      if (line.length > this.#limit)
        throw new Error(`a line of ${line.length} characters is over the limit of ${this.#limit}`);
      messages.push(JSON.parse(line) as T);
    }
    this.#rest += from === 0 ? chunk : chunk.slice(from);
    if (this.#rest.length > this.#limit) throw new Error(`a line is over ${this.#limit} characters`);
    return messages;
  }
}
