import { createConnection, type Socket } from "node:net";
import type { Clock } from "../../core/clock.ts";
import type { ErrorReport } from "../../core/errors.ts";
import {
  NO_STATS,
  type EngineInfo,
  type EngineStats,
  type EngineStatus,
} from "../../engine-wire/engine-status.ts";
import { encodeLine, LineDecoder, MAX_LINE_CHARS } from "../../engine-wire/line-codec.ts";
import type {
  EngineMessage,
  EngineRequest,
  ForgetRequest,
  PrepareRequest,
  RequestEvents,
  TickMessage,
} from "../../engine-wire/requests.ts";
import { ProviderError } from "../provider-error.ts";

/** Where the engine is and how it does; the supervisor is one. */
export interface EngineSource {
  readonly socketPath: string;
  status(): EngineStatus;
  onChange(listener: (status: EngineStatus) => void): () => void;
}

export interface EngineClientOptions {
  readonly source: EngineSource;
  readonly clock: Clock;
  /** Requests that may wait for an engine that is starting. */
  readonly queueLimit: number;
}

/** A request that is on its way. */
export interface EngineCall {
  /** At once; no further events. Without effect once it has ended. */
  cancel(): void;
}

interface Counting {
  resolve(tokens: number): void;
  reject(error: ProviderError): void;
}

const RECONNECT_MS = 50;
/** An engine that is so far behind is told no more of who is gone; what it keeps of them goes when it needs room. */
const MAX_UNSENT_BYTES = 1_048_576;

/** One connection to the engine, made again after each of its deaths. */
export class EngineClient {
  readonly #options: EngineClientOptions;
  readonly #unsubscribe: () => void;
  #socket: Socket | undefined;
  #connected = false;
  #closed = false;
  #nextId = 1;
  #lastInfo: EngineInfo | undefined;
  #lastStats: EngineStats = NO_STATS;
  /** Sent to the present engine. */
  readonly #calls = new Map<number, RequestEvents<ProviderError>>();
  readonly #countings = new Map<number, Counting>();
  /** Lines that wait for the engine to start, by id, in order. */
  readonly #waiting = new Map<number, string>();
  /** Of clients and conversations that have requests among those, perhaps. */
  #waitingForgets: string[] = [];

  constructor(options: EngineClientOptions) {
    this.#options = options;
    this.#unsubscribe = options.source.onChange((status) => this.#follow(status));
    this.#follow(options.source.status());
  }

  /** Of the last engine that this client was connected to. */
  info(): EngineInfo | undefined {
    return this.#lastInfo;
  }

  stats(): EngineStats {
    return this.#lastStats;
  }

  status(): EngineStatus {
    if (this.#closed) return { state: "down", reason: "The server is stopping." };
    const status = this.#options.source.status();
    if (status.state !== "ready" || this.#connected) return status;
    return { ...status, state: "starting", reason: "The engine is being connected." };
  }

  start(request: EngineRequest, events: RequestEvents<ProviderError>): EngineCall {
    const id = this.#nextId++;
    const line = encodeLine({ type: "start", id, request });
    if (line.length > MAX_LINE_CHARS) {
      events.failed(
        new ProviderError("local", "prompt_too_long", "The conversation is too long for the local model."),
      );
    } else {
      const refusal = this.#submit(id, line);
      if (refusal) events.failed(refusal);
      else {
        this.#calls.set(id, events);
        // Between the engine's ready and the connection there is nothing to wait for that people would notice.
        const starting = this.#waiting.has(id) && this.#options.source.status().state === "starting";
        if (starting) events.queued(this.#waiting.size, undefined);
      }
    }
    return { cancel: () => this.#cancel(id) };
  }

  /** @throws ProviderError when the engine dies or is not there. */
  count(text: string): Promise<number> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const refusal = this.#submit(id, encodeLine({ type: "count", id, text }));
      if (refusal) reject(refusal);
      else this.#countings.set(id, { resolve, reject });
    });
  }

  /** Dropped when the engine is not there: it would only save time. */
  prepare(request: PrepareRequest): void {
    const line = encodeLine({ type: "prepare", request });
    if (this.#connected && !this.#closed && line.length <= MAX_LINE_CHARS) this.#socket?.write(line);
  }

  /** Dropped when the engine is not there and nobody waits for it: a new one holds nothing. */
  forget(request: ForgetRequest): void {
    if (this.#closed) return;
    const line = encodeLine({ type: "forget", request });
    if (!this.#connected) {
      // What waits was asked before.
      if (this.#waiting.size > 0 && this.#waitingForgets.length < this.#options.queueLimit)
        this.#waitingForgets.push(line);
    } else if (this.#socket && this.#socket.writableLength < MAX_UNSENT_BYTES) this.#socket.write(line);
  }

  close(): void {
    this.#closed = true;
    this.#unsubscribe();
    this.#failAll(new ProviderError("local", "provider_unavailable", "The server is stopping."));
    this.#socket?.destroy();
  }

  /** Sends a line, or keeps it until the engine is there. @returns why neither is possible. */
  #submit(id: number, line: string): ProviderError | undefined {
    if (this.#connected && !this.#closed) {
      this.#socket?.write(line);
      return undefined;
    }
    const { state, reason } = this.#options.source.status();
    if (this.#closed || state === "degraded" || state === "down") {
      return new ProviderError("local", "provider_unavailable", reason || "The server is stopping.");
    }
    if (this.#waiting.size >= this.#options.queueLimit) {
      return new ProviderError(
        "local",
        "overloaded",
        "Too many requests wait for the local model to start.",
        {
          retryAfterMs: 2000,
        },
      );
    }
    this.#waiting.set(id, line);
    return undefined;
  }

  #cancel(id: number): void {
    if (!this.#calls.delete(id) || this.#waiting.delete(id)) return;
    if (this.#connected) this.#socket?.write(encodeLine({ type: "cancel", id }));
  }

  #follow(status: EngineStatus): void {
    if (status.state === "ready") this.#connect();
    else if (status.state === "degraded" || status.state === "down") {
      this.#failAll(new ProviderError("local", "provider_unavailable", status.reason));
    }
  }

  #connect(): void {
    if (this.#closed || this.#socket) return;
    const socket = createConnection(this.#options.source.socketPath);
    const decoder = new LineDecoder<EngineMessage>();
    this.#socket = socket;
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => {
      try {
        for (const message of decoder.push(chunk)) this.#receive(message);
      } catch (error) {
        socket.destroy(error instanceof Error ? error : undefined);
      }
    });
    // The close that follows an error does the work.
    socket.on("error", () => {});
    socket.on("close", () => this.#disconnected());
  }

  #disconnected(): void {
    const wasConnected = this.#connected;
    this.#socket = undefined;
    this.#connected = false;
    this.#lastStats = NO_STATS;
    if (wasConnected) {
      this.#failAll(
        new ProviderError("local", "engine_crashed", "The local engine died while it worked on this answer."),
      );
    }
    this.#options.clock.after(RECONNECT_MS, () => this.#follow(this.#options.source.status()));
  }

  #failAll(error: ProviderError): void {
    const calls = [...this.#calls.values()];
    const countings = [...this.#countings.values()];
    this.#calls.clear();
    this.#countings.clear();
    this.#waiting.clear();
    this.#waitingForgets = [];
    for (const call of calls) call.failed(error);
    for (const counting of countings) counting.reject(error);
  }

  #receive(message: EngineMessage): void {
    if (message.type === "tick") this.#tick(message);
    else if (message.type === "stats") this.#lastStats = message.stats;
    else if (message.type === "counted") {
      this.#countings.get(message.id)?.resolve(message.tokens);
      this.#countings.delete(message.id);
    } else if (message.type === "ready") {
      this.#lastInfo = message.info;
      this.#connected = true;
      for (const line of this.#waiting.values()) this.#socket?.write(line);
      for (const line of this.#waitingForgets) this.#socket?.write(line);
      this.#waiting.clear();
      this.#waitingForgets = [];
    }
  }

  #tick(message: TickMessage): void {
    for (const [id, position, etaMs] of message.queued ?? []) this.#calls.get(id)?.queued(position, etaMs);
    for (const [id, prompt, cached, dropped] of message.started ?? []) {
      this.#calls.get(id)?.started(prompt, cached, dropped);
    }
    for (const [id, processed, total] of message.progress ?? [])
      this.#calls.get(id)?.progress(processed, total);
    for (const [id, text, tokens] of message.deltas ?? []) this.#calls.get(id)?.delta(text, tokens);
    for (const [id, reason, usage] of message.finished ?? []) this.#take(id)?.finished(reason, usage);
    for (const [id, report] of message.failed ?? []) this.#take(id)?.failed(fromReport(report));
  }

  #take(id: number): RequestEvents<ProviderError> | undefined {
    const events = this.#calls.get(id);
    this.#calls.delete(id);
    return events;
  }
}

function fromReport({ code, message, retryable, retryAfterMs }: ErrorReport): ProviderError {
  return new ProviderError("local", code, message, { retryable, retryAfterMs });
}
