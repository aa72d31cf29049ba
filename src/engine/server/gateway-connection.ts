import type { Socket } from "node:net";
import { reportOf } from "../../core/errors.ts";
import type { RequestState } from "../generation/request-state.ts";
import { TickBatch } from "./tick-batch.ts";
import { encodeLine, LineDecoder } from "../../engine-wire/line-codec.ts";
import type {
  EngineMessage,
  EngineRequest,
  ForgetRequest,
  GatewayMessage,
  PrepareRequest,
  RequestEvents,
} from "../../engine-wire/requests.ts";

/** What a connection asks of the engine. */
export interface ConnectionHost {
  /** A request has come; the handle is set once the request has been prepared. */
  submit(pending: PendingRequest): void;
  cancel(request: RequestState): void;
  prepareContext(request: PrepareRequest): void;
  forget(request: ForgetRequest): void;
  countTokens(text: string): number;
  /** In milliseconds; any zero. */
  now(): number;
  /** Something is to be sent outside of a step. */
  requestFlush(): void;
  closed(connection: GatewayConnection): void;
}

/** A request on its way: first to be prepared, then to be generated. */
export interface PendingRequest {
  readonly request: EngineRequest;
  readonly events: RequestEvents;
  /** When it came, in milliseconds. */
  readonly arrivedAt: number;
  cancelled: boolean;
  state: RequestState | undefined;
}

// A gateway that takes no bytes while this much waits is broken; the engine never waits for a reader.
const MAX_UNSENT_BYTES = 64 * 1_048_576;

/** One gateway. Its requests live and die with its connection. */
export class GatewayConnection {
  readonly #socket: Socket;
  readonly #host: ConnectionHost;
  readonly #decoder = new LineDecoder<GatewayMessage>();
  readonly #batch = new TickBatch();
  readonly #requests = new Map<number, PendingRequest>();

  constructor(socket: Socket, host: ConnectionHost) {
    this.#socket = socket;
    this.#host = host;
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => this.#receive(chunk));
    // The close that follows an error does the work.
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
    else if (message.type === "count") {
      this.send({ type: "counted", id: message.id, tokens: this.#host.countTokens(message.text) });
    }
  }

  #start(id: number, request: EngineRequest): void {
    const pending: PendingRequest = {
      request,
      events: this.#eventsOf(id),
      arrivedAt: this.#host.now(),
      cancelled: false,
      state: undefined,
    };
    this.#requests.set(id, pending);
    this.#host.submit(pending);
  }

  #cancel(id: number): void {
    const pending = this.#requests.get(id);
    if (!pending) return;
    this.#requests.delete(id);
    pending.cancelled = true;
    if (pending.state) this.#host.cancel(pending.state);
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
      delta: (text, tokens) => batch.delta(id, text, tokens),
      finished: (reason, usage) => {
        this.#requests.delete(id);
        batch.finished(id, reason, usage);
      },
      failed: (error) => {
        this.#requests.delete(id);
        batch.failed(id, reportOf(error));
        this.#host.requestFlush();
      },
    };
  }

  #close(): void {
    for (const id of [...this.#requests.keys()]) this.#cancel(id);
    this.#host.closed(this);
  }
}
