import { createConnection, type Socket } from "node:net";
import type { Clock } from "../../core/clock.ts";
import type { ErrorReport } from "../../core/errors.ts";
import type { StopSignal } from "../../core/stop-signal.ts";
import type { Waiter } from "../../core/queues/waiting-weights.ts";
import {
  NO_STATS,
  type EngineInfo,
  type EngineStats,
  type EngineStatus,
} from "../../engine-wire/engine-status.ts";
import { encodeLine, LineDecoder, MAX_LINE_CHARS } from "../../engine-wire/line-codec.ts";
import type {
  CountRequest,
  EngineMessage,
  EngineRequest,
  ForgetRequest,
  PrepareRequest,
  RequestEvents,
  TickMessage,
} from "../../engine-wire/requests.ts";
import { ProviderError } from "../provider-error.ts";
import { WaitingLines } from "./waiting-lines.ts";

/** Address and status of the engine, as provided by the supervisor. */
export interface EngineSource {
  readonly socketPath: string;
  status(): EngineStatus;
  onChange(listener: (status: EngineStatus) => void): () => void;
}

export interface EngineClientOptions {
  readonly source: EngineSource;
  readonly clock: Clock;
  /** Maximum number of requests that wait while the engine is starting. */
  readonly queueLimit: number;
}

/** A request sent to the engine or waiting for its start. */
export interface EngineCall {
  /** Cancels the request immediately; no further events follow. No effect after the end. */
  cancel(): void;
}

/** A token count in progress. */
interface PendingCount {
  resolve(tokens: number): void;
  reject(error: ProviderError): void;
}

/** Retry delay of a request that does not fit into the queue, in milliseconds. */
const RETRY_AFTER_MS = 2000;
/** Milliseconds before the client connects again. */
const RECONNECT_MS = 50;
/**
 * With this many unsent bytes, `forget` requests are dropped. The engine evicts the states later when it needs memory.
 */
const MAX_UNSENT_BYTES = 1_048_576;

/** Connection to the engine. Reconnects after each crash of the engine. */
export class EngineClient {
  readonly #options: EngineClientOptions;
  readonly #unsubscribe: () => void;
  #socket: Socket | undefined;
  #connected = false;
  #closed = false;
  #nextId = 1;
  #lastInfo: EngineInfo | undefined;
  #lastStats: EngineStats = NO_STATS;
  /** Requests by id, sent to the current engine or waiting for its start. */
  readonly #calls = new Map<number, RequestEvents<ProviderError>>();
  readonly #counts = new Map<number, PendingCount>();
  /** Requests that wait for the engine to start. */
  readonly #waiting: WaitingLines;

  constructor(options: EngineClientOptions) {
    this.#options = options;
    this.#waiting = new WaitingLines(options.queueLimit);
    this.#unsubscribe = options.source.onChange((status) => this.#follow(status));
    this.#follow(options.source.status());
  }

  /** Info of the engine that this client was last connected to; undefined before the first connection. */
  info(): EngineInfo | undefined {
    return this.#lastInfo;
  }

  stats(): EngineStats {
    return this.#lastStats;
  }

  status(): EngineStatus {
    if (this.#closed) return { state: "down", reason: "The server is shutting down." };
    const status = this.#options.source.status();
    if (status.state !== "ready" || this.#connected) return status;
    return { ...status, state: "starting", reason: "Connecting to the engine." };
  }

  start(request: EngineRequest, events: RequestEvents<ProviderError>): EngineCall {
    const id = this.#nextId++;
    const line = encodeLine({ type: "start", id, request });
    if (line.length > MAX_LINE_CHARS) {
      events.failed(
        new ProviderError("local", "prompt_too_long", "The conversation is too long for the local model."),
      );
    } else {
      const refusal = this.#submit(id, line, request);
      if (refusal) events.failed(refusal);
      else {
        this.#calls.set(id, events);
        // An engine that is ready but not yet connected causes no noticeable wait, so no position is reported.
        const starting = this.#waiting.has(id) && this.#options.source.status().state === "starting";
        if (starting) events.queued(this.#waiting.size, undefined);
      }
    }
    return { cancel: () => this.#cancel(id) };
  }

  /**
   * Counts the tokens of a text. More than the window is a lower bound.
   *
   * @throws ProviderError if the engine crashes, is unavailable or has no place for more work; the signal's reason
   */
  async count(request: CountRequest, signal: StopSignal): Promise<number> {
    signal.throwIfAborted();
    const id = this.#nextId++;
    let stop = (): void => {};
    try {
      return await new Promise<number>((resolve, reject) => {
        const refusal = this.#submit(id, encodeLine({ type: "count", id, request }), request);
        if (refusal) return reject(refusal);
        this.#counts.set(id, { resolve, reject });
        stop = () => reject(signal.reason);
        signal.addEventListener("abort", stop, { once: true });
      });
    } finally {
      signal.removeEventListener("abort", stop);
      this.#cancel(id);
    }
  }

  /** Dropped if the engine is not connected, since it only saves time. */
  prepare(request: PrepareRequest): void {
    const line = encodeLine({ type: "prepare", request });
    if (this.#connected && !this.#closed && line.length <= MAX_LINE_CHARS) this.#socket?.write(line);
  }

  /** Dropped if the engine is not connected and no request waits for it, since a new engine holds no data. */
  forget(request: ForgetRequest): void {
    if (this.#closed) return;
    const line = encodeLine({ type: "forget", request });
    if (!this.#connected) this.#waiting.addForget(line);
    else if (this.#socket && this.#socket.writableLength < MAX_UNSENT_BYTES) this.#socket.write(line);
  }

  close(): void {
    this.#closed = true;
    this.#unsubscribe();
    this.#failAll(new ProviderError("local", "provider_unavailable", "The server is shutting down."));
    this.#socket?.destroy();
  }

  /** Sends a line, or keeps it until the engine has started. @returns the error if neither is possible */
  #submit(id: number, line: string, owner: Waiter): ProviderError | undefined {
    if (this.#connected && !this.#closed) {
      this.#socket?.write(line);
      return undefined;
    }
    const { state, reason } = this.#options.source.status();
    if (this.#closed || state === "degraded" || state === "down") {
      return new ProviderError("local", "provider_unavailable", reason || "The server is shutting down.");
    }
    const loser = this.#waiting.add(id, line, owner);
    if (loser === id) return overloaded();
    if (loser !== undefined) this.#displaced(loser);
    return undefined;
  }

  #displaced(id: number): void {
    this.#take(id)?.failed(overloaded());
    this.#takeCount(id)?.reject(overloaded());
  }

  #cancel(id: number): void {
    const known = this.#calls.delete(id) || this.#counts.delete(id);
    if (!known || this.#waiting.remove(id)) return;
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
    // An error is followed by a close event, which is handled below.
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
        new ProviderError(
          "local",
          "engine_crashed",
          "The local engine crashed while generating this answer.",
        ),
      );
    }
    this.#options.clock.after(RECONNECT_MS, () => this.#follow(this.#options.source.status()));
  }

  #failAll(error: ProviderError): void {
    const calls = [...this.#calls.values()];
    const counts = [...this.#counts.values()];
    this.#calls.clear();
    this.#counts.clear();
    this.#waiting.takeAll();
    for (const call of calls) call.failed(error);
    for (const count of counts) count.reject(error);
  }

  #receive(message: EngineMessage): void {
    if (message.type === "tick") this.#tick(message);
    else if (message.type === "stats") this.#lastStats = message.stats;
    else if (message.type === "counted") this.#takeCount(message.id)?.resolve(message.tokens);
    else if (message.type === "uncounted") this.#takeCount(message.id)?.reject(fromReport(message.report));
    else if (message.type === "ready") {
      this.#lastInfo = message.info;
      this.#connected = true;
      for (const line of this.#waiting.takeAll()) this.#socket?.write(line);
    }
  }

  #tick(message: TickMessage): void {
    for (const [id, position, etaMs] of message.queued ?? []) this.#calls.get(id)?.queued(position, etaMs);
    for (const [id, prompt, cached, dropped] of message.started ?? []) {
      this.#calls.get(id)?.started(prompt, cached, dropped);
    }
    for (const [id, processed, total] of message.progress ?? [])
      this.#calls.get(id)?.progress(processed, total);
    for (const [id, text, tokens] of message.reasoning ?? []) this.#calls.get(id)?.reasoning(text, tokens);
    for (const [id, text, tokens] of message.deltas ?? []) this.#calls.get(id)?.delta(text, tokens);
    for (const [id, reason, usage] of message.finished ?? []) this.#take(id)?.finished(reason, usage);
    for (const [id, report] of message.failed ?? []) this.#take(id)?.failed(fromReport(report));
  }

  #take(id: number): RequestEvents<ProviderError> | undefined {
    const events = this.#calls.get(id);
    this.#calls.delete(id);
    return events;
  }

  #takeCount(id: number): PendingCount | undefined {
    const count = this.#counts.get(id);
    this.#counts.delete(id);
    return count;
  }
}

function overloaded(): ProviderError {
  const message = "Too many requests are waiting for the local model to start.";
  return new ProviderError("local", "overloaded", message, { retryAfterMs: RETRY_AFTER_MS });
}

function fromReport({ code, message, retryable, retryAfterMs }: ErrorReport): ProviderError {
  // The engine's message for a long prompt names only token counts and fields of the request.
  const clientMessage = code === "prompt_too_long" ? message : undefined;
  return new ProviderError("local", code, message, { retryable, retryAfterMs, clientMessage });
}
