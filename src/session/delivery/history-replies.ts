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

/** The feed that the replies of a socket belong to. */
export interface HistorySink {
  /** Takes bytes from the budget of replayed text. Returns 0, or the milliseconds until they are available. */
  takeReplay(bytes: number): number;
  /** Takes bytes that are sent in any case; the next ones have to wait for them. */
  chargeReplay(bytes: number): void;
  /** Sends an `error` frame. */
  refuse(error: unknown): void;
}

/** Maximum number of requests of one socket that wait. */
const MAX_WAITING = 4;

/**
 * Milliseconds after which a waiting request gets an error, and after which a socket is closed that has read nothing of
 * a history. Long enough for a slow reader, and short because unread bytes take memory from others.
 */
const MAX_WAIT_MS = 15_000;

/** Bytes of a history that a client must read in this time. Kernel buffers that grow take some without a reader. */
const MIN_READ_BYTES = 8192;

/** Share of the memory for unsent bytes that histories may fill. Above 80 %, messages of all clients are refused. */
const BUFFER_SHARE = 1 / 2;

/** Minimum time between two attempts to send, in milliseconds, so that many waiting requests cost little. */
const MIN_RETRY_MS = 100;

/** Bytes of a frame, and of each turn in it, besides the text. */
const RECORD_BYTES = 32;

/** Why the first request waits. */
type Obstacle = "socket" | "budget" | "memory";

interface Waiting extends HistoryRequest {
  readonly client: string;
  /** `Clock.now()` at which the request is refused. */
  readonly giveUpAt: number;
  /** Size of the reply at the first attempt, in bytes; 0 before that. */
  bytes: number;
  /** Whether the bytes were taken from the replay budget. */
  paid: boolean;
}

/**
 * Replies to the `history` frames of one socket, in order. A reply can be 30,000 times as large as its request. It is
 * sent only when the socket is writable, the replay budget allows it, and less than half of the memory for unsent bytes
 * is in use. The history is read from the store only then and sent at once, so a waiting request costs no memory.
 */
export class HistoryReplies {
  readonly #host: DeliveryHost;
  readonly #writer: SocketWriter;
  readonly #sink: HistorySink;
  readonly #waiting: Waiting[] = [];
  #reading = false;
  #obstacle: Obstacle = "socket";
  #cancelRetry: (() => void) | null = null;
  #cancelGiveUp: (() => void) | null = null;
  #cancelUnread: (() => void) | null = null;

  constructor(host: DeliveryHost, writer: SocketWriter, sink: HistorySink) {
    this.#host = host;
    this.#writer = writer;
    this.#sink = sink;
  }

  /** Adds a request. @throws ServiceError `busy` while too many wait */
  add(client: string, request: HistoryRequest): void {
    if (this.#waiting.length >= MAX_WAITING) {
      const message = `${MAX_WAITING} history requests are waiting; read the frames sent so far, then try again.`;
      throw new ServiceError("busy", message);
    }
    const giveUpAt = this.#host.clock.now() + MAX_WAIT_MS;
    this.#waiting.push({ ...request, client, giveUpAt, bytes: 0, paid: false });
    this.serve();
  }

  /** Serves the waiting requests while the socket is writable. */
  serve(): void {
    if (this.#reading || this.#cancelRetry !== null || this.#waiting.length === 0) return;
    this.#reading = true;
    void this.#serveAll().finally(() => {
      this.#reading = false;
      this.#giveUpLater();
      // A request may have arrived after the loop ended.
      if (this.#writer.writable) this.serve();
    });
  }

  /** Called when the socket is writable, so all of the histories that were sent has been read. */
  allRead(): void {
    this.#cancelUnread?.();
    this.#cancelUnread = null;
  }

  /** Drops all requests, because the socket has closed. */
  end(): void {
    this.#waiting.length = 0;
    this.#cancelRetry?.();
    this.#cancelGiveUp?.();
    this.#cancelUnread?.();
  }

  async #serveAll(): Promise<void> {
    for (let request = this.#waiting[0]; request !== undefined; request = this.#waiting[0]) {
      if (!this.#maySend(request)) return;
      try {
        await this.#reply(request);
      } catch (error) {
        this.#remove(request);
        this.#host.logger.error({ err: error }, "reading a history failed");
        this.#sink.refuse(error);
      }
      if (this.#waiting[0] === request) return;
    }
  }

  /** Sends one reply. The request keeps waiting if the socket was blocked meanwhile or the reply is over the budget. */
  async #reply(request: Waiting): Promise<void> {
    const { client, conversation, limit } = request;
    const { turns, running } = await this.#host.chat.history(client, conversation);
    if (this.#waiting[0] !== request || !this.#writer.writable) return;
    const shown = newest(turns, limit, this.#host.maxHistoryBytes);
    if (!request.paid) request.bytes = bytesOf(shown) + RECORD_BYTES * (1 + running.length);
    if (!this.#maySend(request)) return;
    this.#waiting.shift();
    const text = encode({
      type: "history",
      conversation,
      turns: shown,
      running: running.map(({ meta, length }) => ({ answer: meta.answer, id: meta.id, length })),
    });
    // JSON can encode one byte as six.
    this.#sink.chargeReplay(Math.max(0, Buffer.byteLength(text) - request.bytes));
    this.#writer.send("history", text);
    if (!this.#writer.writable) this.#closeIfUnread();
  }

  /** Whether a request may be served now. If not, it is tried again at the next drain or after a time. */
  #maySend(request: Waiting): boolean {
    if (!this.#writer.writable) {
      this.#obstacle = "socket";
      return false;
    }
    if (this.#host.buffers.relieve(BUFFER_SHARE)) {
      this.#retryIn(MIN_RETRY_MS, "memory");
      return false;
    }
    if (request.paid || request.bytes === 0) return true;
    const wait = this.#sink.takeReplay(request.bytes);
    request.paid = wait === 0;
    if (wait > 0) this.#retryIn(wait, "budget");
    return request.paid;
  }

  #retryIn(ms: number, obstacle: Obstacle): void {
    this.#obstacle = obstacle;
    this.#cancelRetry ??= this.#host.clock.after(Math.max(Math.ceil(ms), MIN_RETRY_MS), () => {
      this.#cancelRetry = null;
      this.serve();
    });
  }

  #giveUpLater(): void {
    const oldest = this.#waiting[0];
    if (oldest === undefined || this.#cancelGiveUp !== null) return;
    const { clock } = this.#host;
    this.#cancelGiveUp = clock.after(Math.max(1, oldest.giveUpAt - clock.now()), () => {
      this.#cancelGiveUp = null;
      while (this.#waiting[0] !== undefined && this.#waiting[0].giveUpAt <= clock.now()) {
        this.#waiting.shift();
        this.#sink.refuse(givenUp(this.#obstacle));
      }
      this.#giveUpLater();
    });
  }

  /** Closes the socket if it reads nothing of the history that was sent, whose bytes this process holds. */
  #closeIfUnread(): void {
    const unsent = this.#writer.unsentBytes;
    this.#cancelUnread?.();
    this.#cancelUnread = this.#host.clock.after(MAX_WAIT_MS, () => {
      this.#cancelUnread = null;
      const left = this.#writer.unsentBytes;
      if (left === 0) return;
      if (unsent - left >= MIN_READ_BYTES) this.#closeIfUnread();
      else this.#writer.giveUp();
    });
  }

  #remove(request: Waiting): void {
    if (this.#waiting[0] === request) this.#waiting.shift();
  }
}

function givenUp(obstacle: Obstacle): ServiceError {
  const retryAfterMs = MAX_WAIT_MS;
  const seconds = MAX_WAIT_MS / 1000;
  if (obstacle === "socket") {
    const message =
      `A history was not sent, because nothing was read from this connection for ${seconds} s. ` +
      "Read the frames sent so far, then ask again.";
    return new ServiceError("busy", message);
  }
  if (obstacle === "budget") {
    const message =
      `A history was not sent within ${seconds} s, because too much text is being sent again ` +
      "to you or your address. Ask again later, or for fewer turns with `limit`.";
    return new ServiceError("rate_limited", message, { retryAfterMs, limit: "replay_rate" });
  }
  const message =
    "A history was not sent, because too much output is waiting for slow clients. Ask again later.";
  return new ServiceError("overloaded", message, { retryAfterMs, limit: "buffered_bytes" });
}

function bytesOf(turns: readonly Turn[]): number {
  return turns.reduce((sum, { content }) => sum + Buffer.byteLength(content) + RECORD_BYTES, 0);
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
