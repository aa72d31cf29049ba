import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Config } from "../config/schema.ts";
import type { Clock } from "../core/clock.ts";
import { ServiceError } from "../core/errors.ts";
import type { Logger } from "../core/logger.ts";
import type { Metrics } from "../core/metrics.ts";
import { modelNameOf } from "../engine-host/gguf-parts.ts";
import { locateModel, type FoundModel, type ModelFile } from "../engine-host/model-locate.ts";
import type { ProgressReporter } from "../engine-host/model-progress.ts";
import { EngineStartError, EngineSupervisor } from "../engine-host/supervisor.ts";
import type { EngineSettings } from "../engine-wire/control.ts";
import type { EngineInfo } from "../engine-wire/engine-status.ts";
import { proxyEnvironment } from "../outbound/proxy-routes.ts";
import type { ChatProvider } from "../providers/provider.ts";
import { LocalProvider } from "../providers/local/local-provider.ts";
import type { Candidate } from "../providers/select-provider.ts";

/** Facts about the local provider for the start banner. */
export interface LocalInfo {
  readonly description: string;
  readonly source: string;
  readonly compute: string;
  readonly slots: number;
  readonly contextTokens: number;
  readonly kvBytes: number;
  /** Free memory in bytes from which the number of slots was computed. Absent if LOCAL_SLOTS is set. */
  readonly autoFromBytes?: number;
  readonly notes: readonly string[];
}

export interface LocalProviderSetup {
  readonly candidate: Candidate;
  /** Null until the engine is running. */
  info(): LocalInfo | null;
  stop(): Promise<void>;
}

export interface LocalProviderOptions {
  readonly config: Config;
  /** Folder that holds models/. */
  readonly root: string;
  /** Environment of the engine process. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly progress: ProgressReporter;
  /** Downloads models. Absent: the `fetch` of Node.js. */
  readonly fetch?: typeof globalThis.fetch | undefined;
  /** Aborts the search for a model and its download. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Sampling defaults for models without an entry in models.json. They never sample from the full vocabulary. */
const DEFAULT_SAMPLING = { temperature: 0.7, topP: 0.95, topK: 40, minP: 0.05, repeatPenalty: 1.1 };

/**
 * A note is shown if less than this share of the window is left for prompts: users would often get `prompt_too_long`.
 */
const MIN_PROMPT_SHARE = 0.25;

/** Sets up the local provider: finds a model that the engine loads, and connects the provider to the engine. */
export function setUpLocalProvider(options: LocalProviderOptions): LocalProviderSetup {
  const { config, clock, metrics } = options;
  let supervisor: EngineSupervisor | null = null;
  let running: LocalInfo | null = null;
  /** Starts the engine with a model. @returns null, or why the model cannot be loaded, as a predicate */
  const load = async (model: ModelFile, loaded: (info: EngineInfo) => void): Promise<string | null> => {
    const engine = new EngineSupervisor({
      ...options,
      args: engineArguments(),
      settings: engineSettings(config, model),
      stallMs: config.ENGINE_STALL_SECONDS * 1000,
    });
    supervisor = engine;
    try {
      loaded(await engine.start());
      return null;
    } catch (error) {
      await engine.stop();
      supervisor = null;
      if (error instanceof EngineStartError && error.modelReason !== undefined) {
        return `cannot be loaded: ${error.modelReason}`;
      }
      const message = error instanceof Error ? error.message : "the engine failed";
      throw new ServiceError("provider_unavailable", message, { cause: error });
    }
  };
  const start = async (): Promise<ChatProvider> => {
    let info: EngineInfo | undefined;
    const model = await findModel(options, (file) => load(file, (loaded) => (info = loaded)));
    if (supervisor === null || info === undefined) throw new Error("no engine was started");
    running = describe(info, model, config.MAX_OUTPUT_TOKENS);
    const expected = { model: info.modelName, contextTokens: info.contextTokens };
    const engine = supervisor;
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

async function findModel(
  { config, root, env, fetch, progress, signal }: LocalProviderOptions,
  load: (model: ModelFile) => Promise<string | null>,
): Promise<FoundModel> {
  const found = await locateModel({
    modelPath: config.MODEL_PATH,
    localModel: config.LOCAL_MODEL,
    modelsDir: join(root, "models"),
    download: config.MODEL_DOWNLOAD,
    load,
    progress,
    signal,
    ...(fetch && { fetch }),
    env: { ...env, ...proxyEnvironment(config) },
  });
  if (found.path === null) throw new ServiceError("no_provider", `${found.reason} ${found.remedy}`);
  return found;
}

/** Arguments that start the engine: the compiled file, or the TypeScript source loaded by tsx. */
function engineArguments(): readonly string[] {
  const self = fileURLToPath(import.meta.url);
  const entry = join(dirname(self), "..", "engine", `engine-main${extname(self)}`);
  return extname(self) === ".ts" ? ["--import", "tsx", entry] : [entry];
}

function engineSettings(config: Config, { path, entry }: ModelFile): EngineSettings {
  return {
    modelPath: path,
    modelName: entry?.name ?? modelNameOf(path),
    template: entry?.template ?? "auto",
    roleMarkers: entry?.roleMarkers ?? [],
    sampling: entry?.sampling ?? DEFAULT_SAMPLING,
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

function describe(
  info: EngineInfo,
  { source, notes: found }: FoundModel,
  maxOutputTokens: number,
): LocalInfo {
  const threads = `${info.threads} CPU thread${info.threads === 1 ? "" : "s"}`;
  const devices = info.gpuDevices.length > 0 ? ` (${info.gpuDevices.join(", ")})` : "";
  const notes = [...found, ...info.notes, windowNote(info.contextTokens, maxOutputTokens)];
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

/** Warns if the tokens reserved for the answer leave little of the window for prompts. */
function windowNote(contextTokens: number, maxOutputTokens: number): string {
  const promptTokens = contextTokens - maxOutputTokens;
  if (promptTokens >= contextTokens * MIN_PROMPT_SHARE) return "";
  return (
    `MAX_OUTPUT_TOKENS=${maxOutputTokens} leaves only ${Math.max(promptTokens, 0)} of ${contextTokens} tokens per slot ` +
    "for prompts, and longer prompts are refused. Lower MAX_OUTPUT_TOKENS or raise LOCAL_CONTEXT_SIZE."
  );
}
