import { fileURLToPath } from "node:url";
import { jwtKeyFaults, publicKeyPem } from "./auth/jwt-keys.ts";
import { createChain } from "./app/create-chain.ts";
import { checkListenAddress } from "./app/listen-check.ts";
import { ConfigError } from "./config/config-error.ts";
import { loadFrom, processEnvironment } from "./config/environment.ts";
import type { LoadedConfig } from "./config/load.ts";
import { systemClock as clock } from "./core/clock.ts";
import { removeLeftovers } from "./engine-wire/owned-folders.ts";
import { streamProgress } from "./engine-host/model-progress.ts";
import { setUpLocalProvider, type LocalProviderSetup } from "./app/local-provider-setup.ts";
import { createProxiedFetch } from "./outbound/proxied-fetch.ts";
import { createPinoLogger, type ServiceLogger } from "./observability/pino-logger.ts";
import { createPrometheusMetrics } from "./observability/prometheus-metrics.ts";
import { limitSpendingOfRemote } from "./providers/spend-limited-provider.ts";
import {
  providerCandidates,
  selectProvider,
  type CandidateDependencies,
  type Selection,
} from "./providers/select-provider.ts";
import { SpendGuard } from "./providers/spend-guard.ts";
import { startServer } from "./app/server.ts";
import { renderStartBanner } from "./app/start-banner.ts";
import { checkTextOutput } from "./transport/uws/self-test.ts";
import { loadSocketLibrary, type SocketLibrary } from "./transport/uws/socket-library.ts";

/** Project folder: holds dist/ (or src/) and models/. */
const root = fileURLToPath(new URL("..", import.meta.url));

/** Exit code after a second signal or a failed start or shutdown. */
const EXIT_FAILURE = 1;

/** Share of REMOTE_MAX_TOKENS_PER_DAY that anonymous clients together can use if others can authenticate. */
const ANONYMOUS_SPEND_SHARE = 0.75;

await main();

async function main(): Promise<void> {
  const loaded = loadOrExit();
  const { config } = loaded;
  const socketLibrary = await socketLibraryOrExit(config);
  const logger = createPinoLogger({ level: config.LOG_LEVEL });
  const stopping = new AbortController();
  let stop = (): void => stopping.abort(new Error("stopped by a signal"));
  let signals = 0;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      signals++;
      logger.info({ signal }, signals === 1 ? "shutting down" : "second signal, exiting immediately");
      if (signals > 1) process.exit(EXIT_FAILURE);
      stop();
    });
  }
  try {
    const run = await start(loaded, socketLibrary, logger, stopping.signal);
    stop = () => void exitAfter(run.stop, logger);
    if (stopping.signal.aborted) stop();
  } catch (error) {
    if (stopping.signal.aborted) process.exit(0);
    logger.error({ err: error }, "service failed to start");
    process.stderr.write(
      `\nThe service could not start: ${error instanceof Error ? error.message : "see the log"}\n`,
    );
    await logger.flush();
    process.exit(EXIT_FAILURE);
  }
}

function loadOrExit(): LoadedConfig {
  try {
    return loadFrom(process.cwd(), [jwtKeyFaults]);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(EXIT_FAILURE);
  }
}

/** Loads and checks the socket library. Exits with a one-line message if it is missing, unknown or faulty. */
async function socketLibraryOrExit({ UWS_SHA256 }: LoadedConfig["config"]): Promise<SocketLibrary> {
  try {
    const library = loadSocketLibrary(UWS_SHA256);
    await checkTextOutput(library);
    return library;
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(EXIT_FAILURE);
  }
}

interface Run {
  stop(): Promise<void>;
}

async function start(
  { config, warnings }: LoadedConfig,
  socketLibrary: SocketLibrary,
  logger: ServiceLogger,
  signal: AbortSignal,
): Promise<Run> {
  const metrics = createPrometheusMetrics();
  metrics.counter(
    "log_lines_dropped_total",
    "Log lines dropped because the reader of standard output stalled or closed",
    () => logger.droppedLines(),
  );
  for (const warning of warnings) logger.warn({}, warning);
  for (const folder of removeLeftovers()) logger.info({ folder }, "removed the folder of an ended process");
  await checkListenAddress(config.HOST, config.PORT);
  const publicKey = publicKeyPem({ text: config.JWT_PUBLIC_KEY, file: config.JWT_PUBLIC_KEY_FILE });
  const fetch = await createProxiedFetch(config);
  const local = setUpLocalProvider({
    config,
    root,
    fetch,
    env: processEnvironment(),
    progress: streamProgress(process.stderr),
    signal,
    clock,
    logger,
    metrics,
  });
  const spendGuard = new SpendGuard({
    limits: {
      total: config.REMOTE_MAX_TOKENS_PER_DAY,
      client: config.REMOTE_MAX_TOKENS_PER_DAY_CLIENT,
      address: config.REMOTE_MAX_TOKENS_PER_DAY_ADDRESS,
    },
    anonymousShare: config.JWT_SECRET === undefined && publicKey === undefined ? 1 : ANONYMOUS_SPEND_SHARE,
    clock,
    metrics,
  });
  const selection = await select(config, local, spendGuard, { clock, logger, fetch, checkAtStart: true });
  try {
    signal.throwIfAborted();
    const webFolder = fileURLToPath(new URL("../dist/web", import.meta.url));
    const chain = createChain(config, selection, { clock, logger, metrics });
    const server = await startServer({
      config,
      publicKeyPem: publicKey,
      selection,
      chain,
      logger,
      metrics,
      socketLibrary,
      webFolder,
    });
    void chain?.startEarly();
    for (const warning of server.warnings) logger.warn({}, warning);
    const address = { host: config.HOST, port: server.port };
    process.stderr.write(
      renderStartBanner({
        config,
        address,
        selection,
        local: local.info(),
        authenticates: server.authenticates,
        warnings: [...warnings, ...server.warnings],
      }),
    );
    logger.info({ ...address, provider: selection.provider?.name ?? null }, "listening");
    return {
      async stop() {
        await server.drain();
        await chain?.close();
        await local.stop();
      },
    };
  } catch (error) {
    await local.stop();
    throw error;
  }
}

async function select(
  config: LoadedConfig["config"],
  local: LocalProviderSetup,
  spendGuard: SpendGuard,
  deps: CandidateDependencies,
): Promise<Selection> {
  const { logger } = deps;
  const selection = await selectProvider({
    chosen: config.AI_PROVIDER,
    fallback: config.AI_FALLBACK,
    openAiHasKey: config.OPENAI_API_KEY !== undefined,
    candidates: limitSpendingOfRemote(providerCandidates(config, local.candidate, deps), spendGuard),
    logger,
  });
  for (const { name, reason } of selection.skipped) {
    logger.warn(
      { provider: name, instead: selection.provider?.name ?? null },
      `${name} could not start: ${reason}`,
    );
  }
  return selection;
}

async function exitAfter(stop: () => Promise<void>, logger: ServiceLogger): Promise<void> {
  let code = 0;
  try {
    await stop();
    logger.info({}, "service stopped");
  } catch (error) {
    logger.error({ err: error }, "service failed to shut down cleanly");
    code = EXIT_FAILURE;
  }
  await logger.flush();
  process.exit(code);
}
