import type { Socket } from "node:net";
import { operatorReportOf } from "../../core/errors.ts";
import type { RequestState } from "../generation/request-state.ts";
import { TickBatch } from "./tick-batch.ts";
import { encodeLine, LineDecoder } from "../../engine-wire/line-codec.ts";
import type {
  CountRequest,
  EngineMessage,
  EngineRequest,
  ForgetRequest,
  GatewayMessage,
  PrepareRequest,
  RequestEvents,
  WorkOwner,
} from "../../engine-wire/requests.ts";

/** The operations of the engine that a connection calls. */
export interface ConnectionHost {
  /** Accepts a request; `pending.state` is set once it has been prepared. */
  submit(pending: PendingRequest, request: EngineRequest): void;
  /** Accepts a text to count. */
  count(pending: PendingCount, request: CountRequest): void;
  cancel(pending: PendingWork): void;
  prepareContext(request: PrepareRequest): void;
  forget(request: ForgetRequest): void;
  /** Current time in milliseconds, from any origin. */
  now(): number;
  /** Schedules a flush, for events outside of a step. */
  requestFlush(): void;
  /** Called when the connection has closed. */
  closed(connection: GatewayConnection): void;
}

/** Work of a connection that waits for the tokenizer or a slot. Does not hold its text, which can be large. */
interface Pending {
  readonly accountKey: string;
  readonly authenticated: boolean;
  /** Set by a cancel, and when the work lost its place. */
  cancelled: boolean;
  /** Ends the work without a result. */
  failed(error: unknown): void;
}

/** A request of a connection, from its arrival to its end. */
export interface PendingRequest extends Pending {
  readonly events: RequestEvents;
  /** Time of arrival, in milliseconds. */
  readonly arrivedAt: number;
  /** Undefined until the request has been prepared. */
  state: RequestState | undefined;
}

/** A text to count. */
export interface PendingCount extends Pending {
  counted(tokens: number): void;
}

export type PendingWork = PendingRequest | PendingCount;

/** Unsent bytes that close a connection: its gateway has stopped reading, and the engine never waits for a reader. */
const MAX_UNSENT_BYTES = 64 * 1_048_576;

/** Connection of one gateway. Its requests are cancelled when it closes. */
export class GatewayConnection {
  readonly #socket: Socket;
  readonly #host: ConnectionHost;
  readonly #decoder = new LineDecoder<GatewayMessage>();
  readonly #batch = new TickBatch();
  readonly #requests = new Map<number, PendingWork>();

  constructor(socket: Socket, host: ConnectionHost) {
    this.#socket = socket;
    this.#host = host;
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => this.#receive(chunk));
    // An error is followed by `close`, which cleans up.
    socket.on("error", () => {});
    socket.on("close", () => this.#close());
  }

  send(message: EngineMessage): void {
    if (this.#socket.destroyed) return;
    if (this.#socket.writableLength > MAX_UNSENT_BYTES) this.#socket.destroy();
    else this.#socket.write(encodeLine(message));
  }

  flush(): void {
    const message = this.#batch.take();
    if (message) this.send(message);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #receive(chunk: string): void {
    let messages: GatewayMessage[];
    try {
      messages = this.#decoder.push(chunk);
    } catch (error) {
      this.#socket.destroy(error instanceof Error ? error : undefined);
      return;
    }
    for (const message of messages) this.#handle(message);
  }

  #handle(message: GatewayMessage): void {
    if (message.type === "start") this.#start(message.id, message.request);
    else if (message.type === "cancel") this.#cancel(message.id);
    else if (message.type === "prepare") this.#host.prepareContext(message.request);
    else if (message.type === "forget") this.#host.forget(message.request);
    else if (message.type === "count") this.#count(message.id, message.request);
  }

  #start(id: number, request: EngineRequest): void {
    const events = this.#eventsOf(id);
    const pending: PendingRequest = {
      ...accountOf(request),
      events,
      failed: (error) => events.failed(error),
      arrivedAt: this.#host.now(),
      cancelled: false,
      state: undefined,
    };
    this.#requests.set(id, pending);
    this.#host.submit(pending, request);
  }

  #count(id: number, request: CountRequest): void {
    const pending: PendingCount = {
      ...accountOf(request),
      cancelled: false,
      counted: (tokens) => {
        this.#requests.delete(id);
        this.send({ type: "counted", id, tokens });
      },
      failed: (error) => {
        this.#requests.delete(id);
        this.send({ type: "uncounted", id, report: operatorReportOf(error) });
      },
    };
    this.#requests.set(id, pending);
    this.#host.count(pending, request);
  }

  #cancel(id: number): void {
    const pending = this.#requests.get(id);
    if (!pending) return;
    this.#requests.delete(id);
    this.#host.cancel(pending);
  }

  #eventsOf(id: number): RequestEvents {
    const batch = this.#batch;
    return {
      queued: (position, etaMs) => {
        batch.queued(id, position, etaMs);
        this.#host.requestFlush();
      },
      started: (promptTokens, cachedTokens, droppedTurns) =>
        batch.started(id, promptTokens, cachedTokens, droppedTurns),
      progress: (processed, total) => batch.progress(id, processed, total),
      reasoning: (text, tokens) => batch.reasoning(id, text, tokens),
      delta: (text, tokens) => batch.delta(id, text, tokens),
      finished: (reason, usage) => {
        this.#requests.delete(id);
        batch.finished(id, reason, usage);
      },
      failed: (error) => {
        this.#requests.delete(id);
        batch.failed(id, operatorReportOf(error));
        this.#host.requestFlush();
      },
    };
  }

  #close(): void {
    for (const id of [...this.#requests.keys()]) this.#cancel(id);
    this.#host.closed(this);
  }
}

function accountOf({ accountKey, authenticated }: WorkOwner) {
  return { accountKey, authenticated };
}
