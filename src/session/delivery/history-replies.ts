import { ServiceError } from "../../core/errors.ts";
import type { Turn } from "../../core/fit-prompt.ts";
import { encode } from "./answer-frames.ts";
import type { SocketWriter } from "./socket-writer.ts";
import type { SessionHost } from "../session-host.ts";

/** What a `history` frame asks for. */
export interface HistoryRequest {
  readonly conversation: string;
  /** The newest so many turns. */
  readonly limit: number;
}

/** Requests that wait while the socket holds bytes back. */
const MAX_WAITING = 4;

/**
 * Replies to `history` frames of one socket. A reply is read when the socket is empty and sent at once, so that histories
 * wait in the store and nowhere else.
 */
export class HistoryReplies {
  readonly #host: SessionHost;
  readonly #writer: SocketWriter;
  readonly #failed: (error: unknown) => void;
  readonly #waiting: (HistoryRequest & { readonly client: string })[] = [];
  #reading = false;

  constructor(host: SessionHost, writer: SocketWriter, failed: (error: unknown) => void) {
    this.#host = host;
    this.#writer = writer;
    this.#failed = failed;
  }

  /** @throws ServiceError `busy` while too many wait. */
  add(client: string, request: HistoryRequest): void {
    if (this.#waiting.length >= MAX_WAITING) {
      throw new ServiceError("busy", `${MAX_WAITING} histories wait until you have read what was sent.`);
    }
    this.#waiting.push({ ...request, client });
    this.serve();
  }

  /** Reads and sends what is asked for while the socket is empty. */
  serve(): void {
    if (this.#reading || this.#waiting.length === 0) return;
    this.#reading = true;
    void this.#serveAll().finally(() => {
      this.#reading = false;
      // One may have come between the last look and here.
      if (this.#writer.writable) this.serve();
    });
  }

  async #serveAll(): Promise<void> {
    for (let request = this.#waiting[0]; request !== undefined; request = this.#waiting[0]) {
      if (!this.#writer.writable) return;
      const { client, conversation, limit } = request;
      try {
        const { turns, running } = await this.#host.chat.history(client, conversation);
        // Bytes may wait again: it is read anew when they are gone.
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
        this.#host.logger.error({ err: error }, "a history could not be read");
        this.#failed(error);
      }
    }
  }
}

/** The last turns within both bounds; never the second half of an exchange without the first. */
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
