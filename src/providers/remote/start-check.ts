import { fieldsOf, type JsonFields } from "../../core/json-fields.ts";
import type { Clock } from "../../core/clock.ts";
import type { Logger } from "../../core/logger.ts";
import { ProviderError } from "../provider-error.ts";
import type { ChatProvider, ChatRequest, StreamPart } from "../provider.ts";
import type { RemoteNames } from "./fault-table.ts";
import { readBounded, type Fetch } from "./guarded-fetch.ts";
import { mapFault, mapNetworkFault, readFault } from "./http-errors.ts";

/** Maximum milliseconds that the start waits for one provider. */
const CHECK_MS = 5000;
/** Maximum bytes read of a model list. */
const LIST_BYTES = 4_194_304;
/** Model names shown in a warning. */
const NAMES_SHOWN = 5;
const NAME_CHARS = 80;

export interface CheckedServer {
  readonly names: RemoteNames;
  /** URL of the model list, without credentials. */
  readonly modelsUrl: string;
  /** Headers that authenticate at the server. */
  readonly headers: Readonly<Record<string, string>>;
  readonly model: string;
  /** Configured context window in tokens. */
  readonly contextTokens: number;
}

export interface CheckDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
  /** As in RemoteDependencies. */
  readonly fetch?: Fetch | undefined;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function fetchModels(
  server: CheckedServer,
  { clock, fetch = globalThis.fetch }: CheckDependencies,
): Promise<readonly JsonFields[] | ProviderError | null> {
  const { names, modelsUrl } = server;
  const controller = new AbortController();
  const stopTimer = clock.after(CHECK_MS, () => controller.abort());
  try {
    const response = await fetch(modelsUrl, {
      headers: { accept: "application/json", ...server.headers },
      redirect: "manual",
      signal: controller.signal,
    });
    const body = parsed(await readBounded(response, clock, LIST_BYTES));
    // A missing list, or a key without access to it, does not mean that the chat fails.
    if (response.status === 404 || response.status === 405 || response.status === 403) return null;
    if (!response.ok) return mapFault(names, readFault(body, response.status));
    const { data } = fieldsOf(body);
    return Array.isArray(data) ? data.map(fieldsOf) : null;
  } catch (error) {
    if (!controller.signal.aborted) return mapNetworkFault(names, error, false);
    const message = `The ${names.provider} provider did not answer within ${CHECK_MS / 1000} s.`;
    return new ProviderError(names.provider, "provider_timeout", message);
  } finally {
    stopTimer();
  }
}

/** Context window in tokens as listed by llama-server (`meta.n_ctx`) or vLLM (`max_model_len`). */
function windowOf(model: JsonFields): number | undefined {
  return [model["max_model_len"], fieldsOf(model["meta"])["n_ctx"]].find(
    (value): value is number => typeof value === "number" && Number.isInteger(value) && value > 0,
  );
}

function idOf({ id }: JsonFields): string {
  return typeof id === "string" ? id : "";
}

/**
 * Checks a server by its model list before it is used. Only a rejected key is a failure, because a server that cannot
 * be reached may be available by the first message.
 *
 * @returns the context window to use, in tokens: the configured one, or the server's if that is smaller
 * @throws ProviderError `provider_auth`
 */
export async function checkServer(server: CheckedServer, deps: CheckDependencies): Promise<number> {
  const { names, model, contextTokens } = server;
  const { provider } = names;
  const { logger } = deps;
  const models = await fetchModels(server, deps);
  if (models instanceof ProviderError) {
    if (models.code === "provider_auth") throw models;
    logger.warn({ provider, code: models.code }, `${models.message} It is tried again with each message.`);
    return contextTokens;
  }
  if (models === null || models.length === 0) return contextTokens;
  // Ollama lists a model called `name` as `name:latest`.
  const named = models.find((entry) => idOf(entry) === model || idOf(entry) === `${model}:latest`);
  if (named === undefined) {
    const listed = models.slice(0, NAMES_SHOWN).map((entry) => idOf(entry).slice(0, NAME_CHARS));
    logger.warn(
      { provider, model, listed, models: models.length },
      `The server does not list this model; check ${names.modelSetting}`,
    );
  }
  // llama-server uses its only model regardless of the requested name.
  const window = windowOf(named ?? (models.length === 1 ? (models[0] ?? {}) : {}));
  if (window === undefined || window >= contextTokens) return contextTokens;
  logger.warn(
    { provider, configured: contextTokens, window },
    `The server's context window is smaller than ${names.windowSetting}; prompts are fitted to the server's window`,
  );
  return window;
}

const PROBE: Omit<ChatRequest, "principal"> = {
  system: "",
  context: null,
  turns: [{ role: "user", content: "Hi" }],
  maxTokens: 1,
  sampling: {},
  conversation: "start check",
};

/** The probe is not charged to any client. */
const servicePrincipal = {
  authenticated: false,
  client: "service",
  publicId: "service",
  accountKey: "service",
};

/**
 * Requests one token. Throws a failure that would affect every message; logs a failure that may be temporary.
 *
 * @param remedy what the operator can do about a failure, in one sentence
 * @throws ProviderError that is not retryable
 */
export async function probe(
  provider: ChatProvider,
  remedy: string,
  { clock, logger }: CheckDependencies,
): Promise<void> {
  const controller = new AbortController();
  let sawText = false;
  const onPart = (part: StreamPart): void => {
    if (part.type !== "text-delta") return;
    sawText = true;
    controller.abort();
  };
  const stopTimer = clock.after(CHECK_MS, () => {
    const message = `The ${provider.name} provider did not answer within ${CHECK_MS / 1000} s.`;
    controller.abort(new ProviderError(provider.name, "provider_timeout", message));
  });
  try {
    await provider.stream({ ...PROBE, principal: servicePrincipal }, { signal: controller.signal, onPart });
  } catch (error) {
    if (sawText) return;
    if (!(error instanceof ProviderError)) throw error;
    const { code, status } = error;
    if (!error.retryable)
      throw new ProviderError(provider.name, code, `${error.message} ${remedy}`, { status });
    logger.warn({ provider: provider.name, code }, `${error.message} It is tried again with each message.`);
  } finally {
    stopTimer();
  }
}
