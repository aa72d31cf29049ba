import { basename, dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Config } from "../config/schema.ts";
import type { Clock } from "../core/clock.ts";
import { ServiceError } from "../core/errors.ts";
import type { Logger } from "../core/logger.ts";
import type { Metrics } from "../core/metrics.ts";
import { locateModel, type FoundModel } from "../engine-host/model-locate.ts";
import type { ProgressReporter } from "../engine-host/model-progress.ts";
import { EngineSupervisor } from "../engine-host/supervisor.ts";
import type { EngineSettings } from "../engine-wire/control.ts";
import type { EngineInfo } from "../engine-wire/engine-status.ts";
import type { ChatProvider } from "../providers/provider.ts";
import { LocalProvider } from "../providers/local/local-provider.ts";
import type { Candidate } from "../providers/select-provider.ts";

/** What the start block says of the local provider. */
export interface LocalInfo {
  readonly description: string;
  readonly source: string;
  readonly compute: string;
  readonly slots: number;
  readonly contextTokens: number;
  readonly kvBytes: number;
  /** Free memory from which the number of slots was computed; absent where LOCAL_SLOTS is set. */
  readonly autoFromBytes?: number;
  readonly notes: readonly string[];
}

export interface LocalProviderSetup {
  readonly candidate: Candidate;
  /** Null until it runs. */
  info(): LocalInfo | null;
  stop(): Promise<void>;
}

export interface LocalProviderOptions {
  readonly config: Config;
  /** The folder that holds models/. */
  readonly root: string;
  /** For the engine's process. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly progress: ProgressReporter;
  /** Stops the search for a model. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Drawn with these where models.json knows nothing better: mild, and never the full vocabulary. */
const SAFE_SAMPLING = { temperature: 0.7, topP: 0.95, topK: 40, minP: 0.05, repeatPenalty: 1.1 };

/** Below this share of the window for prompts people meet `prompt_too_long` before they expect it. */
const MIN_PROMPT_SHARE = 0.25;

/** The local provider as a whole: the model's file, the engine's process, the provider that talks to it. */
export function setUpLocalProvider(options: LocalProviderOptions): LocalProviderSetup {
  let supervisor: EngineSupervisor | null = null;
  let running: LocalInfo | null = null;
  const start = async (): Promise<ChatProvider> => {
    const { config, clock, metrics } = options;
    const model = await findModel(options);
    const engine = new EngineSupervisor({
      ...options,
      args: engineArguments(),
      settings: engineSettings(config, model),
      stallMs: config.ENGINE_STALL_SECONDS * 1000,
    });
    supervisor = engine;
    let info: EngineInfo;
    try {
      info = await engine.start();
    } catch (error) {
      await engine.stop();
      supervisor = null;
      throw new ServiceError(
        "provider_unavailable",
        error instanceof Error ? error.message : "the engine failed",
        {
          cause: error,
        },
      );
    }
    running = describe(info, model, config.MAX_OUTPUT_TOKENS);
    const expected = { model: info.modelName, contextTokens: info.contextTokens };
    return new LocalProvider({ engine, clock, metrics, queueLimit: config.LOCAL_QUEUE_LIMIT, expected });
  };
  return {
    candidate: { remote: false, start },
    info: () => running,
    async stop() {
      await supervisor?.stop();
    },
  };
}

async function findModel({ config, root, progress, signal }: LocalProviderOptions): Promise<FoundModel> {
  const found = await locateModel({
    modelPath: config.MODEL_PATH,
    localModel: config.LOCAL_MODEL,
    modelsDir: join(root, "models"),
    download: config.MODEL_DOWNLOAD,
    progress,
    signal,
  });
  if (found.path === null) throw new ServiceError("no_provider", `${found.reason} ${found.remedy}`);
  return found;
}

/** The engine as it stands beside this file: compiled, or as a source that tsx loads. */
function engineArguments(): readonly string[] {
  const self = fileURLToPath(import.meta.url);
  const entry = join(dirname(self), "..", "engine", `engine-main${extname(self)}`);
  return extname(self) === ".ts" ? ["--import", "tsx", entry] : [entry];
}

function engineSettings(config: Config, { path, entry }: FoundModel): EngineSettings {
  return {
    modelPath: path,
    modelName: entry?.name ?? basename(path, ".gguf"),
    template: entry?.template ?? "auto",
    roleMarkers: entry?.roleMarkers ?? [],
    sampling: entry?.sampling ?? SAFE_SAMPLING,
    gpu: config.GPU,
    maxTickMs: config.LOCAL_MAX_TICK_MS,
    itlTargetMs: config.LOCAL_ITL_TARGET_MS,
    queueLimit: config.LOCAL_QUEUE_LIMIT,
    lookup: config.LOCAL_LOOKUP,
    kvCacheBytes: config.LOCAL_KV_CACHE_MB * 1_048_576,
    ...(config.LOCAL_SLOTS !== undefined && { slots: config.LOCAL_SLOTS }),
    ...(config.LOCAL_CONTEXT_SIZE !== undefined && { contextTokens: config.LOCAL_CONTEXT_SIZE }),
    ...(config.LOCAL_THREADS !== undefined && { threads: config.LOCAL_THREADS }),
  };
}

function describe(info: EngineInfo, { source, note }: FoundModel, maxOutputTokens: number): LocalInfo {
  const threads = `${info.threads} CPU thread${info.threads === 1 ? "" : "s"}`;
  const devices = info.gpuDevices.length > 0 ? ` (${info.gpuDevices.join(", ")})` : "";
  const notes = [note, ...info.notes, windowNote(info.contextTokens, maxOutputTokens)];
  return {
    description: info.modelDescription,
    source,
    compute: info.gpu === false ? threads : `${info.gpu}${devices}, ${threads}`,
    slots: info.slots,
    contextTokens: info.contextTokens,
    kvBytes: info.kvBytes,
    ...(info.autoFromBytes !== undefined && { autoFromBytes: info.autoFromBytes }),
    notes: notes.filter((text) => text !== ""),
  };
}

/** The answer's reserve is taken from the window: where it takes most of it, hardly a prompt fits. */
function windowNote(contextTokens: number, maxOutputTokens: number): string {
  const room = contextTokens - maxOutputTokens;
  if (room >= contextTokens * MIN_PROMPT_SHARE) return "";
  return (
    `Of ${contextTokens} tokens per slot, MAX_OUTPUT_TOKENS=${maxOutputTokens} leaves ${Math.max(room, 0)} for prompts: ` +
    "longer ones are refused. Lower it or raise LOCAL_CONTEXT_SIZE."
  );
}
