import type { HttpResponse } from "uWebSockets.js";
import type { Clock } from "../../core/clock.ts";
import type { Logger } from "../../core/logger.ts";
import { errorReply, statusLine, type HttpReply } from "./http-reply.ts";
import type { WireEncoder } from "./wire-encoder.ts";

/** What headers may contain: tab and printable ASCII. */
const HEADER_TEXT = /^[\t\x20-\x7e]*$/;

/** Time for a client to read a reply that the kernel could not take at once, in milliseconds. */
const REPLY_DEADLINE_MS = 30_000;

/** Replies that are written in the turn of their request. Further ones are written in the next turn. */
const MAX_REPLIES_PER_TURN = 64;

/** Shared by all HTTP requests of a transport. */
export interface HttpHost {
  readonly encoder: WireEncoder;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly turn: TurnQuota;
}

/**
 * Counts the replies of one turn of the event loop. The library closes a connection on which a request follows before
 * the previous reply is written. Once the quota is used up, replies are written in the next turn, so that a packet full
 * of requests costs no more than that.
 */
export class TurnQuota {
  #left = MAX_REPLIES_PER_TURN;

  /** Counts a reply. Returns whether it can be written in this turn. */
  take(): boolean {
    if (this.#left === MAX_REPLIES_PER_TURN) setImmediate(() => (this.#left = MAX_REPLIES_PER_TURN));
    this.#left--;
    return this.#left >= 0;
  }
}

/**
 * One HTTP request and its reply. A reply is complete only when the kernel has taken all of it, and the library closes
 * the connection if another request arrives before that. So a client that does not read occupies the memory of one
 * reply, and only for a limited time.
 */
export class HttpExchange {
  readonly #res: HttpResponse;
  readonly #method: string;
  readonly #host: HttpHost;
  /** The client has disconnected, or its deadline has passed. The library's object must not be used after that. */
  #aborted = false;
  #stopDeadline: (() => void) | null = null;

  /** Call it in the handler of the request. `method` is in upper case. */
  constructor(res: HttpResponse, method: string, host: HttpHost) {
    this.#res = res;
    this.#method = method;
    this.#host = host;
    res.onAborted(() => {
      this.#aborted = true;
      this.#stopDeadline?.();
    });
  }

  /** Sends the reply; call it once, in the handler of the request. A rejected promise must not be passed. */
  reply(reply: HttpReply | Promise<HttpReply>): void {
    if (reply instanceof Promise) void reply.then((finished) => this.#writeLater(finished));
    else if (this.#host.turn.take() && !this.#closesAfter(reply)) this.#write(reply);
    else setImmediate(() => this.#writeLater(reply));
  }

  /**
   * Whether the connection is closed after the reply. The library does not report whether a reply without a body was
   * taken. Such a reply is written in a later turn, so that nothing behind its request is served.
   */
  #closesAfter({ status, closes, body }: HttpReply): boolean {
    return closes === true || this.#method === "HEAD" || status === 304 || body.length === 0;
  }

  #writeLater(reply: HttpReply): void {
    if (!this.#aborted) this.#res.cork(() => this.#write(reply));
  }

  #write(reply: HttpReply): void {
    try {
      assertAscii(reply);
    } catch (error) {
      this.#host.logger.error({ err: error }, "HTTP reply is invalid");
      this.#write(errorReply(500, "Unexpected server error; it was logged."));
      return;
    }
    const res = this.#res;
    res.writeStatus(statusLine(reply.status));
    for (const [name, value] of Object.entries(reply.headers)) res.writeHeader(name, value);
    const body = this.#host.encoder.encode(reply.body);
    if (reply.status === 304 || reply.status === 204) res.endWithoutBody(undefined, true);
    else if (this.#method === "HEAD") res.endWithoutBody(body.byteLength, true);
    else if (this.#closesAfter(reply)) res.end(body, true);
    else this.#writeBody(body, body === reply.body);
  }

  /** `owned`: the bytes stay unchanged, unlike those in the shared buffer of the encoder. */
  #writeBody(body: Uint8Array, owned: boolean): void {
    const res = this.#res;
    const size = body.byteLength;
    const [, complete] = res.tryEnd(body, size);
    if (complete) return;
    const rest = owned ? body : Buffer.from(body);
    this.#stopDeadline = this.#host.clock.after(REPLY_DEADLINE_MS, () => {
      if (!this.#aborted) res.close();
    });
    res.onWritable((offset) => {
      const [taken, finished] = res.tryEnd(rest.subarray(offset), size);
      if (finished) this.#stopDeadline?.();
      return taken;
    });
  }
}

/** @throws Error if the status line or a header contains characters other than printable ASCII or tab */
function assertAscii({ status, headers }: HttpReply): void {
  for (const text of [statusLine(status), ...Object.entries(headers).flat()]) {
    if (HEADER_TEXT.test(text)) continue;
    throw new Error(
      `A header or status line contains other characters than printable ASCII: ${JSON.stringify(text)}`,
    );
  }
}
