import { chmod, rm } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import type { Clock } from "../../core/clock.ts";
import { ServiceError } from "../../core/errors.ts";
import { freeMemory } from "../model/capacity.ts";
import { CPU_TILE_TOKENS } from "../scheduling/chunk-plan.ts";
import { CostModel } from "../estimates/cost-model.ts";
import { FairQueue } from "../scheduling/fair-queue.ts";
import type { LongWork } from "./long-work.ts";
import { GatewayConnection, type ConnectionHost, type PendingRequest } from "./gateway-connection.ts";
import { RequestState } from "../generation/request-state.ts";
import { PREFILL_TOKENS, type LoadedModel } from "../model/load-model.ts";
import { KvCache } from "../kv/kv-cache.ts";
import type { KvFolder } from "../kv/kv-folder.ts";
import { PromptLookup } from "../speculation/prompt-lookup.ts";
import { Slot } from "../generation/slot.ts";
import { TickLoop } from "../loop/tick-loop.ts";
import type { EnginePulse, EngineSettings } from "../../engine-wire/control.ts";
import type { ForgetRequest, PrepareRequest, RequestEvents } from "../../engine-wire/requests.ts";

export interface EngineServerOptions {
  readonly loaded: LoadedModel;
  readonly settings: EngineSettings;
  readonly socketPath: string;
  readonly clock: Clock;
  /** A fault that was contained; text of users is not in it. */
  readonly onFault: (error: unknown) => void;
  readonly longWork: LongWork;
  /** Where states of sequences go; absent: none are stored. */
  readonly kvFolder?: KvFolder;
}

// Preparing tokenizes on this thread, beside the native step; it must not delay that step's end by more.
const PREPARE_MS = 5;
// Contexts that may wait to be prepared.
const MAX_CONTEXTS = 256;
const STATS_MS = 1000;
// Of the memory that is free once the model is loaded.
const KV_MEMORY_SHARE = 0.25;
const BYTES_PER_ID = 4;
// Prompt tokens that a waiting request may have on average: they take 8 bytes each, and somebody has to process them.
const QUEUED_PROMPT_TOKENS = 1024;

function kvCache(
  { loaded, settings, clock, longWork, onFault }: EngineServerOptions,
  folder: KvFolder,
): KvCache {
  const { kvBytes, slots, contextTokens } = loaded.info;
  return new KvCache({
    folder,
    // Files of a memory file system are memory.
    budgetBytes: Math.min(settings.kvCacheBytes, freeMemory() * KV_MEMORY_SHARE),
    bytesPerToken: kvBytes / (slots * contextTokens) + BYTES_PER_ID,
    model: settings.modelPath,
    clock,
    longWork,
    onFault,
  });
}

/** Listens for gateways, prepares their requests in the order they came, and hands them to the loop. */
export class EngineServer implements ConnectionHost {
  readonly #options: EngineServerOptions;
  readonly #loop: TickLoop;
  readonly #queue: FairQueue<RequestState>;
  readonly #connections = new Set<GatewayConnection>();
  /** Contexts that are being prepared, by client. */
  readonly #contexts = new Map<string, RequestState>();
  readonly #incoming: PendingRequest[] = [];
  readonly #server: Server;
  #preparing = false;
  #prepared = 0;
  #flushing = false;
  #lastStats = "";

  constructor(options: EngineServerOptions) {
    this.#options = options;
    const { loaded, settings, clock } = options;
    const tileTokens = loaded.info.gpu === false ? CPU_TILE_TOKENS : 1;
    this.#queue = new FairQueue<RequestState>({
      requests: settings.queueLimit,
      promptTokens: settings.queueLimit * QUEUED_PROMPT_TOKENS,
      background: MAX_CONTEXTS,
    });
    this.#loop = new TickLoop({
      slots: loaded.sequences.map((sequence) => new Slot(sequence)),
      queue: this.#queue,
      cost: new CostModel(loaded.promptTokenMs, tileTokens),
      limits: {
        maxTickMs: settings.maxTickMs,
        itlTargetMs: settings.itlTargetMs,
        batchTokens: PREFILL_TOKENS,
        tileTokens,
      },
      clock,
      ...(settings.lookup && loaded.erasable && { lookup: new PromptLookup() }),
      ...(options.kvFolder && { cache: kvCache(options, options.kvFolder) }),
      prepareStep: (sequences, promptTokens) => loaded.prepareStep(sequences, promptTokens),
      flush: () => this.#flush(),
      onFault: options.onFault,
    });
    this.#server = createServer((socket) => this.#connect(socket));
  }

  /** Opens the socket, readable by this user alone. */
  async listen(): Promise<void> {
    const { socketPath } = this.#options;
    await rm(socketPath, { force: true });
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(socketPath, resolve);
    });
    await chmod(socketPath, 0o600);
  }

  /** Ends when {@link stop} was called; rejects when the engine is beyond repair. */
  serve(): Promise<void> {
    this.#sendStats();
    return this.#loop.start();
  }

  async stop(): Promise<void> {
    this.#server.close();
    for (const connection of this.#connections) connection.destroy();
    await this.#loop.stop();
  }

  submit(pending: PendingRequest): void {
    if (this.#incoming.length + this.#queue.size >= this.#queue.limits.requests) {
      pending.events.failed(this.#loop.overloaded());
      return;
    }
    this.#incoming.push(pending);
    if (this.#preparing) return;
    this.#preparing = true;
    setImmediate(() => void this.#prepareAll());
  }

  /** A client's context is set: one job a client, the latest. */
  prepareContext(request: PrepareRequest): void {
    const { loaded, clock, onFault } = this.#options;
    const former = this.#contexts.get(request.client);
    if (former) this.#loop.cancel(former);
    this.#contexts.delete(request.client);
    try {
      const prepared = loaded.prompts.prepareContext(request);
      if (!prepared) return;
      const over = (): void => {
        if (this.#contexts.get(request.client) === job) this.#contexts.delete(request.client);
      };
      const job: RequestState = new RequestState(
        prepared,
        backgroundEvents(over),
        loaded.detokenize,
        clock.now(),
      );
      this.#loop.submit(job);
      this.#contexts.set(request.client, job);
    } catch (error) {
      // It would only have saved time.
      if (!(error instanceof ServiceError)) onFault(error);
    }
  }

  /** A conversation was cleared, or a client is gone: what its prompts have left behind goes too. */
  forget(request: ForgetRequest): void {
    const context = request.conversation === undefined ? this.#contexts.get(request.client) : undefined;
    if (context) {
      this.#loop.cancel(context);
      this.#contexts.delete(request.client);
    }
    this.#loop.forget(request);
  }

  now(): number {
    return this.#options.clock.now();
  }

  cancel(request: RequestState): void {
    this.#loop.cancel(request);
  }

  countTokens(text: string): number {
    return this.#options.loaded.prompts.countTokens(text);
  }

  requestFlush(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => this.#flush());
  }

  closed(connection: GatewayConnection): void {
    this.#connections.delete(connection);
  }

  #connect(socket: Socket): void {
    const connection = new GatewayConnection(socket, this);
    this.#connections.add(connection);
    connection.send({ type: "ready", info: this.#options.loaded.info });
  }

  #flush(): void {
    this.#flushing = false;
    for (const connection of this.#connections) connection.flush();
  }

  pulse(): EnginePulse {
    const { running, waiting, tickMs } = this.#loop.stats();
    const busy = running + waiting + this.#incoming.length > 0;
    return {
      busy,
      moved: this.#loop.steps + this.#prepared,
      tickMs,
      longWork: this.#options.longWork.active,
    };
  }

  async #prepareAll(): Promise<void> {
    const until = performance.now() + PREPARE_MS;
    for (;;) {
      const pending = this.#incoming.shift();
      if (!pending) break;
      await this.#prepare(pending);
      if (performance.now() < until || this.#incoming.length === 0) continue;
      setImmediate(() => void this.#prepareAll());
      return;
    }
    this.#preparing = false;
  }

  async #prepare(pending: PendingRequest): Promise<void> {
    this.#prepared++;
    if (pending.cancelled) return;
    const { prompts, detokenize } = this.#options.loaded;
    try {
      const prepared = await prompts.prepare(pending.request);
      if (pending.cancelled) return;
      pending.state = new RequestState(prepared, pending.events, detokenize, pending.arrivedAt);
      this.#loop.submit(pending.state);
    } catch (error) {
      if (!(error instanceof ServiceError)) this.#options.onFault(error);
      pending.events.failed(error);
    }
  }

  #sendStats(): void {
    const stats = this.#loop.stats();
    const text = JSON.stringify(stats);
    if (text !== this.#lastStats) {
      this.#lastStats = text;
      for (const connection of this.#connections) connection.send({ type: "stats", stats });
    }
    this.#options.clock.after(STATS_MS, () => this.#sendStats());
  }
}

/** Nobody waits for a background job; its end frees its place. */
function backgroundEvents(over: () => void): RequestEvents {
  const nothing = (): void => {};
  return {
    queued: nothing,
    started: nothing,
    progress: nothing,
    delta: nothing,
    finished: over,
    failed: over,
  };
}
