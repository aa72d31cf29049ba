import { fileURLToPath } from "node:url";
import { systemClock } from "../../src/core/clock.ts";
import { silentLogger, type Logger } from "../../src/core/logger.ts";
import { noMetrics, type Metrics } from "../../src/core/metrics.ts";
import { EngineSupervisor } from "../../src/engine-host/supervisor.ts";
import type { RestartPolicyOptions } from "../../src/engine-host/restart-policy.ts";
import type { EngineSettings } from "../../src/engine-wire/control.ts";
import { LocalProvider } from "../../src/providers/local/local-provider.ts";
import { tinyModel } from "./tiny-gguf.ts";
import { countOptions } from "./chat-request.ts";

/** Node.js arguments that run the engine from its sources. */
export const engineArgs: readonly string[] = [
  "--import",
  import.meta.resolve("tsx"),
  fileURLToPath(new URL("../../src/engine/engine-main.ts", import.meta.url)),
];

export interface LocalEngineOptions {
  readonly settings?: Partial<EngineSettings>;
  readonly logger?: Logger;
  readonly metrics?: Metrics;
  readonly restart?: RestartPolicyOptions;
  readonly stallMs?: number;
}

export interface LocalEngine {
  readonly supervisor: EngineSupervisor;
  readonly provider: LocalProvider;
  stop(): Promise<void>;
}

/** Engine settings with the tiny model: one thread, four slots of 512 tokens. */
export async function tinySettings(changes: Partial<EngineSettings> = {}): Promise<EngineSettings> {
  return {
    modelPath: await tinyModel(),
    modelName: "tiny",
    template: "zephyr",
    roleMarkers: [],
    sampling: {},
    slots: 4,
    contextTokens: 512,
    // With more threads than free cores, a small model is many times slower.
    threads: 1,
    gpu: "off",
    maxTickMs: 250,
    itlTargetMs: 100,
    queueLimit: 4096,
    lookup: true,
    kvCacheBytes: 64 * 1_048_576,
    ...changes,
  };
}

/** A supervisor of the real engine process, not yet started. */
export async function tinySupervisor(options: LocalEngineOptions = {}): Promise<EngineSupervisor> {
  return new EngineSupervisor({
    args: engineArgs,
    env: process.env,
    settings: await tinySettings(options.settings),
    logger: options.logger ?? silentLogger,
    metrics: options.metrics ?? noMetrics,
    clock: systemClock,
    ...(options.stallMs !== undefined && { stallMs: options.stallMs }),
    ...(options.restart && { restart: options.restart }),
  });
}

/** A provider that uses an engine. Close it before stopping the engine. */
export function localProvider(supervisor: EngineSupervisor, metrics: Metrics = noMetrics): LocalProvider {
  return new LocalProvider({
    engine: supervisor,
    clock: systemClock,
    metrics,
    queueLimit: 4096,
    expected: { model: "tiny", contextTokens: 512 },
  });
}

/** Starts an engine with the tiny model, and a provider connected to it. */
export async function startLocalEngine(options: LocalEngineOptions = {}): Promise<LocalEngine> {
  const supervisor = await tinySupervisor(options);
  await supervisor.start();
  const provider = localProvider(supervisor, options.metrics);
  await provider.countTokens("connected", countOptions);
  return {
    supervisor,
    provider,
    async stop() {
      await provider.close();
      await supervisor.stop();
    },
  };
}
