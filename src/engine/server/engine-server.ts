import { chmod, rm } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import type { Clock } from "../../core/clock.ts";
import { freeMemory } from "../model/capacity.ts";
import { CPU_TILE_TOKENS } from "../scheduling/chunk-plan.ts";
import { CostModel } from "../estimates/cost-model.ts";
import { FairQueue } from "../scheduling/fair-queue.ts";
import type { LongWork } from "./long-work.ts";
import {
  GatewayConnection,
  type ConnectionHost,
  type PendingCount,
  type PendingRequest,
  type PendingWork,
} from "./gateway-connection.ts";
import { Intake } from "./intake.ts";
import type { RequestState } from "../generation/request-state.ts";
import { PREFILL_TOKENS, type LoadedModel } from "../model/load-model.ts";
import { KvCache } from "../kv/kv-cache.ts";
import type { KvFolder } from "../kv/kv-folder.ts";
import { PromptLookup } from "../speculation/prompt-lookup.ts";
import { Slot } from "../generation/slot.ts";
import { TickLoop } from "../loop/tick-loop.ts";
import type { EnginePulse, EngineSettings } from "../../engine-wire/control.ts";
import type {
  CountRequest,
  EngineRequest,
  ForgetRequest,
  PrepareRequest,
} from "../../engine-wire/requests.ts";

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

/** Accepts gateways and connects them to the intake and the loop. */
export class EngineServer implements ConnectionHost {
  readonly #options: EngineServerOptions;
  readonly #loop: TickLoop;
  readonly #intake: Intake;
  readonly #connections = new Set<GatewayConnection>();
  readonly #server: Server;
  #flushing = false;
  #lastStats = "";

  constructor(options: EngineServerOptions) {
    this.#options = options;
    const { loaded, settings, clock } = options;
    const tileTokens = loaded.info.gpu === false ? CPU_TILE_TOKENS : 1;
    const queue = new FairQueue<RequestState>({
      // The intake bounds the requests that wait for their first slot. Preempted ones return without a bound; while they
      // are more than the slots, they take the room of new requests.
      requests: settings.queueLimit + loaded.info.slots,
      promptTokens: settings.queueLimit * QUEUED_PROMPT_TOKENS,
      background: MAX_CONTEXTS,
    });
    this.#loop = new TickLoop({
      slots: loaded.sequences.map((sequence) => new Slot(sequence)),
      queue,
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
      flush: () => {
        this.#flush();
        this.#intake.proceed();
      },
      onFault: options.onFault,
    });
    this.#intake = new Intake({
      loop: this.#loop,
      prompts: loaded.prompts,
      detokenize: loaded.detokenize,
      queueLimit: settings.queueLimit,
      maxContexts: MAX_CONTEXTS,
      now: () => clock.now(),
      defer: setImmediate,
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

  submit(pending: PendingRequest, request: EngineRequest): void {
    this.#intake.submit(pending, request);
  }

  count(pending: PendingCount, request: CountRequest): void {
    this.#intake.count(pending, request);
  }

  cancel(pending: PendingWork): void {
    this.#intake.cancel(pending);
  }

  prepareContext(request: PrepareRequest): void {
    this.#intake.prepareContext(request);
  }

  /** Erases what the prompts of a cleared conversation, or of a deleted client, have left behind. */
  forget(request: ForgetRequest): void {
    if (request.conversation === undefined) this.#intake.forgetContext(request.client);
    this.#loop.forget(request);
  }

  now(): number {
    return this.#options.clock.now();
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
    const busy = running + waiting + this.#intake.size > 0;
    return {
      busy,
      moved: this.#loop.steps + this.#intake.pieces,
      tickMs,
      longWork: this.#options.longWork.active,
    };
  }

  #sendStats(): void {
    const stats = { ...this.#loop.stats(), displaced: this.#intake.displaced };
    const text = JSON.stringify(stats);
    if (text !== this.#lastStats) {
      this.#lastStats = text;
      for (const connection of this.#connections) connection.send({ type: "stats", stats });
    }
    this.#options.clock.after(STATS_MS, () => this.#sendStats());
  }
}
