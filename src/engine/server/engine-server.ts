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
  /** Called with faults that the engine survived; they contain no text of users. */
  readonly onFault: (error: unknown) => void;
  readonly longWork: LongWork;
  /** Folder of the stored KV states; absent: none are stored. */
  readonly kvFolder?: KvFolder;
}

/** Milliseconds of preparing before it yields. It tokenizes on this thread and can delay the end of the native step. */
const PREPARE_MS = 5;
/** Contexts that may wait to be processed. */
const MAX_CONTEXTS = 256;
/** Interval of statistics, in milliseconds. */
const STATS_MS = 1000;
/** Share of the memory that is free once the model is loaded. */
const KV_MEMORY_SHARE = 0.25;
/** Bytes of one token id in a stored state. */
const BYTES_PER_ID = 4;
/** Prompt tokens that a waiting request may have on average, which bounds the memory and the work of the queue. */
const QUEUED_PROMPT_TOKENS = 1024;

function kvCache(
  { loaded, settings, clock, longWork, onFault }: EngineServerOptions,
  folder: KvFolder,
): KvCache {
  const { kvBytes, slots, contextTokens } = loaded.info;
  return new KvCache({
    folder,
    // The folder can be on a memory file system, whose files take memory.
    budgetBytes: Math.min(settings.kvCacheBytes, freeMemory() * KV_MEMORY_SHARE),
    bytesPerToken: kvBytes / (slots * contextTokens) + BYTES_PER_ID,
    model: settings.modelPath,
    clock,
    longWork,
    onFault,
  });
}

/** Accepts gateways, prepares their requests in order of arrival, and submits them to the loop. */
export class EngineServer implements ConnectionHost {
  readonly #options: EngineServerOptions;
  readonly #loop: TickLoop;
  readonly #queue: FairQueue<RequestState>;
  readonly #connections = new Set<GatewayConnection>();
  /** Background jobs that process a context, by client. */
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

  /** Opens the socket, accessible to this user only. */
  async listen(): Promise<void> {
    const { socketPath } = this.#options;
    await rm(socketPath, { force: true });
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(socketPath, resolve);
    });
    await chmod(socketPath, 0o600);
  }

  /** Resolves after {@link stop}; rejects when the engine cannot recover. */
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

  /** Queues a background job that processes a client's context. It replaces an earlier job of this client. */
  prepareContext(request: PrepareRequest): void {
    const { loaded, clock, onFault } = this.#options;
    const former = this.#contexts.get(request.client);
    if (former) this.#loop.cancel(former);
    this.#contexts.delete(request.client);
    try {
      const prepared = loaded.prompts.prepareContext(request);
      if (!prepared) return;
      const onEnd = (): void => {
        if (this.#contexts.get(request.client) === job) this.#contexts.delete(request.client);
      };
      const job: RequestState = new RequestState(
        prepared,
        backgroundEvents(onEnd),
        loaded.detokenize,
        clock.now(),
      );
      this.#loop.submit(job);
      this.#contexts.set(request.client, job);
    } catch (error) {
      // A ServiceError is ignored: without this job, the context is processed with the client's next request.
      if (!(error instanceof ServiceError)) onFault(error);
    }
  }

  /** Erases what the prompts of a cleared conversation, or of a deleted client, have left behind. */
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

/** Events of a background job, of which only the end matters. */
function backgroundEvents(onEnd: () => void): RequestEvents {
  const nothing = (): void => {};
  return {
    queued: nothing,
    started: nothing,
    progress: nothing,
    delta: nothing,
    finished: onEnd,
    failed: onEnd,
  };
}
