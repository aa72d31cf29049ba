import type { Clock } from "../../core/clock.ts";
import type { Metrics } from "../../core/metrics.ts";
import type { Principal } from "../../core/principal.ts";
import type { EngineStats } from "../../engine-wire/engine-status.ts";
import type { EngineRequest, RequestEvents } from "../../engine-wire/requests.ts";
import { OpenAnswer } from "../open-answer.ts";
import type {
  ChatProvider,
  ChatRequest,
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
  /** The engine's supervisor. */
  readonly engine: EngineSource;
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** Requests that may wait for an engine that is starting; LOCAL_QUEUE_LIMIT. */
  readonly queueLimit: number;
  /** What `describe` says until the engine is ready. */
  readonly expected: { readonly model: string; readonly contextTokens: number };
}

/** What the engine reports, as metrics. Names that end in `_total` are counters, the others gauges. */
const engineMetrics: readonly (readonly [
  name: string,
  help: string,
  read: (stats: EngineStats) => number,
])[] = [
  ["engine_waiting", "Requests that wait for a slot of the engine.", ({ waiting }) => waiting],
  ["engine_waiting_tokens", "Prompt tokens of those requests.", ({ waitingTokens }) => waitingTokens],
  ["engine_running", "Slots of the engine in use.", ({ running }) => running],
  ["engine_kept_tokens", "Tokens kept in the slots of the engine.", ({ keptTokens }) => keptTokens],
  ["engine_tick_seconds", "Smoothed length of a step of the engine.", ({ tickMs }) => tickMs / 1000],
  ["engine_batch_size", "Smoothed number of sequences in a step.", ({ batch }) => batch],
  [
    "engine_prompt_share",
    "Smoothed share of prompt tokens in a step, 0 to 1.",
    ({ promptShare }) => promptShare,
  ],
  [
    "engine_cached_slot_tokens_total",
    "Prompt tokens that a slot still held.",
    ({ cachedSlot }) => cachedSlot,
  ],
  [
    "engine_cached_parked_tokens_total",
    "Prompt tokens loaded with a stored state.",
    ({ cachedStored }) => cachedStored,
  ],
  [
    "engine_cached_shared_tokens_total",
    "Prompt tokens loaded with a shared text.",
    ({ cachedShared }) => cachedShared,
  ],
  ["engine_parked_bytes", "Memory of stored states.", ({ storedBytes }) => storedBytes],
  ["engine_parked_states", "Stored states.", ({ storedStates }) => storedStates],
  [
    "engine_parkings_total",
    "Answers that gave their slot away for a time.",
    ({ preemptions }) => preemptions,
  ],
  [
    "engine_return_ratio",
    "How often conversations that lost their slot come back.",
    ({ returnRate }) => returnRate,
  ],
  [
    "engine_forgotten_total",
    "Slots and stored states emptied since their client or conversation is gone.",
    ({ forgotten }) => forgotten,
  ],
  ["engine_guessed_tokens_total", "Tokens guessed by prompt look-up.", ({ guessedTokens }) => guessedTokens],
  ["engine_accepted_tokens_total", "Guessed tokens that were right.", ({ acceptedTokens }) => acceptedTokens],
];

/** Answers from the model on this machine, through the engine process. */
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
    this.#client.prepare({ system, context, ...payer(principal) });
  }

  forget(gone: Forgotten): void {
    this.#client.forget(gone);
  }

  describe(): { model: string; contextTokens: number } {
    const info = this.#client.info();
    return info ? { model: info.modelName, contextTokens: info.contextTokens } : this.#options.expected;
  }

  countTokens(text: string): Promise<number> {
    return this.#client.count(text);
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
          model: this.describe().model,
          droppedTurns,
          promptTokens,
          cachedTokens,
        }),
      progress: (processed, total) => answer.part({ type: "progress", processed, total }),
      delta: (text, tokens) => answer.part({ type: "text-delta", text, tokens }),
      finished: (reason, usage) => answer.finish({ reason, usage }),
      failed: (error) => answer.fail(error),
    };
  }
}

/** Who owns the data, who is charged for the work, and with which share. */
function payer({
  client,
  accountKey,
  weight,
}: Principal): Pick<EngineRequest, "client" | "accountKey" | "weight"> {
  return { client, accountKey, ...(weight !== undefined && { weight }) };
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
    ...payer(principal),
    ...(request.jsonSchema && { jsonSchema: request.jsonSchema }),
    ...(request.continueFrom !== undefined && { continueFrom: request.continueFrom }),
  };
}
