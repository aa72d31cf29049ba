import type { Clock } from "../../core/clock.ts";
import type { Metrics } from "../../core/metrics.ts";
import type { Principal } from "../../core/principal.ts";
import type { EngineStats } from "../../engine-wire/engine-status.ts";
import type { EngineRequest, RequestEvents, WorkOwner } from "../../engine-wire/requests.ts";
import { OpenAnswer } from "../open-answer.ts";
import type {
  ChatProvider,
  ChatRequest,
  CountOptions,
  Finish,
  Forgotten,
  PromptBeginning,
  ProviderHealth,
  StreamOptions,
  StreamPart,
} from "../provider.ts";
import type { ProviderError } from "../provider-error.ts";
import { EngineClient, type EngineSource } from "./engine-client.ts";

export interface LocalProviderOptions {
  /** Supervisor of the engine. */
  readonly engine: EngineSource;
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** Maximum number of requests that wait while the engine is starting (LOCAL_QUEUE_LIMIT). */
  readonly queueLimit: number;
  /** Returned by `describe` until the engine is ready. */
  readonly expected: { readonly model: string; readonly contextTokens: number };
}

/** Metrics read from the engine's stats. Names that end in `_total` are counters, the others are gauges. */
const engineMetrics: readonly (readonly [
  name: string,
  help: string,
  read: (stats: EngineStats) => number,
])[] = [
  ["engine_waiting", "Requests waiting for a slot of the engine.", ({ waiting }) => waiting],
  [
    "engine_waiting_tokens",
    "Prompt tokens of the requests waiting for a slot.",
    ({ waitingTokens }) => waitingTokens,
  ],
  [
    "engine_displaced_total",
    "Waiting requests that lost their place in a full queue to a client with fewer requests.",
    ({ displaced }) => displaced,
  ],
  ["engine_running", "Slots of the engine in use.", ({ running }) => running],
  ["engine_kept_tokens", "Tokens held in the slots of the engine.", ({ keptTokens }) => keptTokens],
  ["engine_tick_seconds", "Duration of an engine step, smoothed.", ({ tickMs }) => tickMs / 1000],
  ["engine_batch_size", "Number of sequences in an engine step, smoothed.", ({ batch }) => batch],
  [
    "engine_prompt_share",
    "Share of prompt tokens in an engine step, 0 to 1, smoothed.",
    ({ promptShare }) => promptShare,
  ],
  ["engine_cached_slot_tokens_total", "Prompt tokens reused from a slot.", ({ cachedSlot }) => cachedSlot],
  [
    "engine_cached_parked_tokens_total",
    "Prompt tokens reused from a stored state.",
    ({ cachedStored }) => cachedStored,
  ],
  [
    "engine_cached_shared_tokens_total",
    "Prompt tokens reused from a shared prefix.",
    ({ cachedShared }) => cachedShared,
  ],
  ["engine_parked_bytes", "Bytes of stored KV states.", ({ storedBytes }) => storedBytes],
  ["engine_parked_states", "Number of stored KV states.", ({ storedStates }) => storedStates],
  [
    "engine_parkings_total",
    "Running answers preempted to free their slot temporarily.",
    ({ preemptions }) => preemptions,
  ],
  [
    "engine_return_ratio",
    "Share of conversations that continue after losing their slot, 0 to 1.",
    ({ returnRate }) => returnRate,
  ],
  [
    "engine_forgotten_total",
    "Slots and stored states cleared because their client or conversation was deleted.",
    ({ forgotten }) => forgotten,
  ],
  ["engine_guessed_tokens_total", "Tokens guessed by prompt lookup.", ({ guessedTokens }) => guessedTokens],
  [
    "engine_accepted_tokens_total",
    "Guessed tokens that the model accepted.",
    ({ acceptedTokens }) => acceptedTokens,
  ],
];

/** Provider for the model on this machine, which runs in the engine process. */
export class LocalProvider implements ChatProvider {
  readonly name = "local";
  readonly remote = false;
  readonly continuation = "prefilled";
  readonly #options: LocalProviderOptions;
  readonly #client: EngineClient;

  constructor(options: LocalProviderOptions) {
    this.#options = options;
    const { engine, clock, metrics, queueLimit } = options;
    this.#client = new EngineClient({ source: engine, clock, queueLimit });
    for (const [name, help, read] of engineMetrics) {
      const kind = name.endsWith("_total") ? "counter" : "gauge";
      metrics[kind](name, help, () => read(this.#client.stats()));
    }
  }

  async stream(request: ChatRequest, options: StreamOptions<StreamPart>): Promise<Finish> {
    const answer = new OpenAnswer(options);
    const call = this.#client.start(engineRequest(request), this.#eventsOf(answer));
    try {
      return await answer.whole;
    } finally {
      call.cancel();
    }
  }

  prepare({ system, context, principal }: PromptBeginning): void {
    this.#client.prepare({ system, context, ...accountOf(principal) });
  }

  forget(target: Forgotten): void {
    this.#client.forget(target);
  }

  describe(): { model: string; contextTokens: number } {
    const info = this.#client.info();
    return info ? { model: info.modelName, contextTokens: info.contextTokens } : this.#options.expected;
  }

  countTokens(text: string, { principal, signal }: CountOptions): Promise<number> {
    return this.#client.count({ text, ...accountOf(principal) }, signal);
  }

  health(): ProviderHealth {
    const { state, reason } = this.#client.status();
    return { state, reason };
  }

  onHealthChange(listener: (health: ProviderHealth) => void): () => void {
    return this.#options.engine.onChange(({ state, reason }) => listener({ state, reason }));
  }

  async close(): Promise<void> {
    this.#client.close();
  }

  #eventsOf(answer: OpenAnswer): RequestEvents<ProviderError> {
    return {
      queued: (position, etaMs) =>
        answer.part({ type: "queued", position, ...(etaMs !== undefined && { etaMs }) }),
      started: (promptTokens, cachedTokens, droppedTurns) =>
        answer.part({
          type: "started",
          provider: this.name,
          ...this.describe(),
          droppedTurns,
          promptTokens,
          cachedTokens,
        }),
      progress: (processed, total) => answer.part({ type: "progress", processed, total }),
      reasoning: (text, tokens) => answer.part({ type: "reasoning-delta", text, tokens }),
      delta: (text, tokens) => answer.part({ type: "text-delta", text, tokens }),
      finished: (reason, usage) => answer.finish({ reason, usage }),
      failed: (error) => answer.fail(error),
    };
  }
}

/** Owner of the data, account charged for the work, and its share of the engine. */
function accountOf({ client, accountKey, authenticated, weight }: Principal): WorkOwner {
  return { client, accountKey, authenticated, ...(weight !== undefined && { weight }) };
}

function engineRequest(request: ChatRequest): EngineRequest {
  const { principal, system, context, turns, maxTokens, sampling, conversation } = request;
  return {
    system,
    context,
    turns,
    maxTokens,
    sampling,
    conversation,
    ...accountOf(principal),
    ...(request.jsonSchema && { jsonSchema: request.jsonSchema }),
    ...(request.continueFrom !== undefined && { continueFrom: request.continueFrom }),
  };
}
