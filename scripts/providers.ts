// npm run providers: starts each provider of the configured chain, requests a few tokens, and prints which providers
// work and what to fix. Reads the same settings as the server. Exit code: 0 if the first provider works, 2 if only a
// fallback works, 1 if none works or a setting is invalid. Downloads nothing and prints no keys.
import { fileURLToPath } from "node:url";
import { ConfigError } from "../src/config/config-error.ts";
import { loadFrom, processEnvironment } from "../src/config/environment.ts";
import type { Config } from "../src/config/schema.ts";
import { systemClock as clock } from "../src/core/clock.ts";
import { ServiceError } from "../src/core/errors.ts";
import { silentLogger, type Logger } from "../src/core/logger.ts";
import { noMetrics } from "../src/core/metrics.ts";
import { createProxiedFetch } from "../src/outbound/proxied-fetch.ts";
import { streamProgress } from "../src/engine-host/model-progress.ts";
import { setUpLocalProvider, type LocalProviderSetup } from "../src/app/local-provider-setup.ts";
import { ProviderError } from "../src/providers/provider-error.ts";
import type { ChatProvider, ChatRequest, StreamPart } from "../src/providers/provider.ts";
import { providerCandidates, providerOrder, type Candidate } from "../src/providers/select-provider.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Maximum milliseconds until the first text. A busy CPU takes long for the first prompt. */
const FIRST_TOKEN_MS = 60_000;

/** Maximum milliseconds for a provider to start. Loading a large model from a slow disk takes long. */
const START_MS = 180_000;

const QUESTION: ChatRequest = {
  system: "",
  context: null,
  turns: [{ role: "user", content: "Say: ready" }],
  maxTokens: 8,
  sampling: {},
  principal: { authenticated: false, client: "check", publicId: "check", accountKey: "check" },
  conversation: "check",
};

interface Row {
  readonly provider: string;
  readonly state: "ready" | "failed" | "cannot start";
  readonly model: string;
  readonly firstTokenMs: number | null;
  readonly remedy: string;
}

/** Message of a failure that is safe to print. Messages of other errors may contain secrets. */
function remedyOf(error: unknown): string {
  if (error instanceof ServiceError) return error.message;
  return `it failed unexpectedly (${error instanceof Error ? error.name : "unknown error"})`;
}

/** Starts a provider within the time limit. */
function started(
  name: string,
  start: () => Promise<ChatProvider>,
  stopping: AbortSignal,
): Promise<ChatProvider> {
  return new Promise((resolve, reject) => {
    const giveUp = (why: string): void => reject(new ServiceError("provider_unavailable", `${name} ${why}.`));
    const stop = (): void => giveUp("was stopped by a signal");
    stopping.addEventListener("abort", stop, { once: true });
    const stopTimer = clock.after(START_MS, () => giveUp(`did not start within ${START_MS / 1000} s`));
    const clear = (): void => {
      stopTimer();
      stopping.removeEventListener("abort", stop);
    };
    start().then(resolve, reject).finally(clear);
  });
}

/** Milliseconds from the request to the first text. */
async function firstTokenOf(provider: ChatProvider, stopping: AbortSignal): Promise<number> {
  const controller = new AbortController();
  const stop = (): void => controller.abort(stopping.reason);
  stopping.addEventListener("abort", stop, { once: true });
  const stopTimer = clock.after(FIRST_TOKEN_MS, () => {
    const message = `The ${provider.name} provider sent no text within ${FIRST_TOKEN_MS / 1000} s.`;
    controller.abort(new ProviderError(provider.name, "provider_timeout", message));
  });
  const begin = clock.now();
  let firstAt: number | null = null;
  try {
    const onPart = ({ type }: StreamPart): void => {
      if (type === "text-delta") firstAt ??= clock.now();
    };
    await provider.stream(QUESTION, { signal: controller.signal, onPart });
  } finally {
    stopTimer();
    stopping.removeEventListener("abort", stop);
  }
  // An empty answer is valid as well.
  return (firstAt ?? clock.now()) - begin;
}

async function check(name: string, candidate: Candidate, model: string, stopping: AbortSignal): Promise<Row> {
  if ("reason" in candidate) {
    return { provider: name, state: "cannot start", model, firstTokenMs: null, remedy: candidate.reason };
  }
  let provider: ChatProvider;
  try {
    provider = await started(name, () => candidate.start(), stopping);
  } catch (error) {
    return { provider: name, state: "cannot start", model, firstTokenMs: null, remedy: remedyOf(error) };
  }
  const { model: named } = provider.describe();
  try {
    const firstTokenMs = await firstTokenOf(provider, stopping);
    return { provider: name, state: "ready", model: named, firstTokenMs, remedy: "" };
  } catch (error) {
    return { provider: name, state: "failed", model: named, firstTokenMs: null, remedy: remedyOf(error) };
  } finally {
    await provider.close();
  }
}

/** Formats the rows as a table with aligned columns. */
function tableOf(rows: readonly Row[]): string {
  const head = ["provider", "state", "model", "first token", "what to fix"];
  const cells = rows.map(({ provider, state, model, firstTokenMs, remedy }) => [
    provider,
    state,
    model,
    firstTokenMs === null ? "-" : `${Math.round(firstTokenMs)} ms`,
    remedy === "" ? "-" : remedy,
  ]);
  const lines = [head, ...cells];
  const widths = head.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** A logger that collects the warnings of the start, such as an unlisted model or a smaller window. */
function collectWarnings(notes: string[]): Logger {
  return {
    ...silentLogger,
    warn(fields: { provider?: string; listed?: readonly string[] }, message) {
      const listed = fields.listed ? ` (listed models: ${fields.listed.join(", ")})` : "";
      notes.push(`${fields.provider ?? "note"}: ${message}${listed}`);
    },
  };
}

function localSetup(config: Config, logger: Logger, stopping: AbortSignal): LocalProviderSetup {
  return setUpLocalProvider({
    // Models are downloaded by the start of the service or by npm run model only.
    config: { ...config, MODEL_DOWNLOAD: false },
    root,
    env: processEnvironment(),
    progress: streamProgress(process.stderr),
    signal: stopping,
    clock,
    logger,
    metrics: noMetrics,
  });
}

async function main(stopping: AbortSignal): Promise<number> {
  const { config, warnings } = loadFrom(process.cwd());
  const notes: string[] = [...warnings];
  const logger = collectWarnings(notes);
  const local = localSetup(config, logger, stopping);
  const fetch = await createProxiedFetch(config);
  const candidates = providerCandidates(config, local.candidate, {
    clock,
    logger,
    fetch,
    checkAtStart: true,
  });
  const models = {
    local: config.LOCAL_MODEL,
    openai: config.AI_MODEL,
    huggingface: config.HF_MODEL,
    echo: "echo",
  };
  const order = providerOrder(config.AI_PROVIDER, config.AI_FALLBACK, config.OPENAI_API_KEY !== undefined);
  const rows: Row[] = [];
  try {
    for (const name of order) {
      if (stopping.aborted) return 130;
      rows.push(await check(name, candidates[name], models[name], stopping));
    }
  } finally {
    await local.stop();
  }
  const isShown = (note: string): boolean =>
    rows.some(({ remedy }) => remedy !== "" && note.includes(remedy));
  process.stdout.write(`${[tableOf(rows), ...notes.filter((note) => !isShown(note))].join("\n")}\n`);
  if (rows[0]?.state === "ready") return 0;
  return rows.some(({ state }) => state === "ready") ? 2 : 1;
}

const stop = new AbortController();
// Sockets and timers of the service are unreferenced, so they do not keep the process running.
const keepRunning = setInterval(() => undefined, 60_000);
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => stop.abort(new Error("stopped by a signal")));
}
try {
  process.exitCode = await main(stop.signal);
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
} finally {
  clearInterval(keepRunning);
}
