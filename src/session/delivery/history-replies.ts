import { ServiceError } from "../../core/errors.ts";
import type { Turn } from "../../core/fit-prompt.ts";
import { encode } from "./answer-frames.ts";
import type { DeliveryHost } from "./delivery-host.ts";
import type { SocketWriter } from "./socket-writer.ts";

/** Parameters of a `history` frame. */
export interface HistoryRequest {
  readonly conversation: string;
  /** Maximum number of turns; the newest are returned. */
  readonly limit: number;
}

/** Maximum number of requests that wait while the socket is blocked. */
const MAX_WAITING = 4;

/**
 * Replies to the `history` frames of one socket. A history is read from the store only when the socket is writable,
 * and sent at once, so a slow reader costs no memory.
 */
export class HistoryReplies {
  readonly #host: DeliveryHost;
  readonly #writer: SocketWriter;
  readonly #failed: (error: unknown) => void;
  readonly #waiting: (HistoryRequest & { readonly client: string })[] = [];
  #reading = false;

  constructor(host: DeliveryHost, writer: SocketWriter, failed: (error: unknown) => void) {
    this.#host = host;
    this.#writer = writer;
    this.#failed = failed;
  }

  /** Adds a request. @throws ServiceError `busy` while too many wait */
  add(client: string, request: HistoryRequest): void {
    if (this.#waiting.length >= MAX_WAITING) {
      const message = `${MAX_WAITING} history requests are waiting; read the frames sent so far, then try again.`;
      throw new ServiceError("busy", message);
    }
    this.#waiting.push({ ...request, client });
    this.serve();
  }

  /** Serves the waiting requests while the socket is writable. */
  serve(): void {
    if (this.#reading || this.#waiting.length === 0) return;
    this.#reading = true;
    void this.#serveAll().finally(() => {
      this.#reading = false;
      // A request may have arrived after the loop ended.
      if (this.#writer.writable) this.serve();
    });
  }

  async #serveAll(): Promise<void> {
    for (let request = this.#waiting[0]; request !== undefined; request = this.#waiting[0]) {
      if (!this.#writer.writable) return;
      const { client, conversation, limit } = request;
      try {
        const { turns, running } = await this.#host.chat.history(client, conversation);
        // The socket was blocked meanwhile: the history is read again after the drain.
        if (!this.#writer.writable) return;
        this.#waiting.shift();
        const frame = {
          type: "history",
          conversation,
          turns: newest(turns, limit, this.#host.maxHistoryBytes),
          running: running.map(({ meta, length }) => ({ answer: meta.answer, id: meta.id, length })),
        } as const;
        this.#writer.send("history", encode(frame));
      } catch (error) {
        this.#waiting.shift();
        this.#host.logger.error({ err: error }, "reading a history failed");
        this.#failed(error);
      }
    }
  }
}

/** The newest turns within both limits; never an assistant turn without its user turn. */
export function newest(turns: readonly Turn[], limit: number, maxBytes: number): readonly Turn[] {
  let start = turns.length;
  let bytes = 0;
  while (start > 0 && turns.length - start < limit) {
    bytes += Buffer.byteLength((turns[start - 1] as Turn).content);
    if (bytes > maxBytes) break;
    start--;
  }
  return start > 0 && turns[start]?.role === "assistant" ? turns.slice(start + 1) : turns.slice(start);
}
