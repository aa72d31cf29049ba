import type { Clock } from "../core/clock.ts";
import { ServiceError } from "../core/errors.ts";
import type { Logger } from "../core/logger.ts";
import type { ChainLink } from "./chain/chain-member.ts";
import type { ChatProvider } from "./provider.ts";
import { parseBaseUrl } from "./remote/base-url.ts";

export type ProviderName = ChatProvider["name"];

/** A provider that can be started, or a readable reason why it cannot. */
export type Candidate =
  | {
      /** Whether text sent to it leaves this machine. */
      readonly remote: boolean;
      /** @throws Error; the message of a ServiceError is shown as the reason */
      start(): Promise<ChatProvider>;
    }
  | { readonly reason: string };

export interface Skipped {
  readonly name: ProviderName;
  /** What is missing and how to fix it. Contains no secret. */
  readonly reason: string;
}

export interface Selection {
  /** The first provider of the order that started; null if none did. */
  readonly provider: ChatProvider | null;
  /** Names of the usable providers in order: the chosen one, then its fallbacks. */
  readonly order: readonly ProviderName[];
  /** The same providers as links of a chain. Those after `provider` are not started. */
  readonly links: readonly ChainLink[];
  /** Providers of the order that could not start. */
  readonly skipped: readonly Skipped[];
  /** Whether a usable provider sends text to another machine. */
  readonly textMayLeave: boolean;
  /** What to do if `provider` is null, in readable form; otherwise empty. */
  readonly remedy: string;
}

/** Settings that the providers of this folder use, by their names in the configuration. */
export interface ProviderSettings {
  readonly AI_MODEL: string;
  readonly OPENAI_API_KEY: string | undefined;
  readonly OPENAI_BASE_URL: string | undefined;
  readonly OPENAI_CONTEXT_TOKENS: number;
  readonly HF_API_KEY: string | undefined;
  readonly HF_MODEL: string;
  readonly HF_BASE_URL: string | undefined;
  readonly HF_CONTEXT_TOKENS: number;
  readonly ECHO_TOKEN_MS: number;
  readonly ECHO_SLOTS: number;
  readonly LOCAL_QUEUE_LIMIT: number;
  readonly ECHO_ANSWER_BYTES: number;
}

export interface CandidateDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Sends the requests of remote providers. Absent: the `fetch` of Node.js. */
  readonly fetch?: typeof globalThis.fetch | undefined;
  /** Whether remote providers are checked by their model list when they start. */
  readonly checkAtStart?: boolean;
}

/** All providers by name. An SDK is loaded only when its provider starts: the local model needs none. */
export function providerCandidates(
  settings: ProviderSettings,
  local: Candidate,
  deps: CandidateDependencies,
): Readonly<Record<ProviderName, Candidate>> {
  return {
    local,
    openai: openai(settings, deps),
    huggingface: huggingFace(settings, deps),
    echo: echo(settings, deps),
  };
}

function isLoopback(baseUrl: string | undefined): boolean {
  return baseUrl !== undefined && parseBaseUrl(baseUrl).loopback;
}

function openai(settings: ProviderSettings, deps: CandidateDependencies): Candidate {
  const { OPENAI_API_KEY: apiKey, OPENAI_BASE_URL: baseUrl } = settings;
  if (!apiKey && !baseUrl) return { reason: "OPENAI_API_KEY is not set" };
  const options = {
    apiKey,
    baseUrl,
    model: settings.AI_MODEL,
    contextTokens: settings.OPENAI_CONTEXT_TOKENS,
  };
  return {
    remote: !isLoopback(baseUrl),
    async start() {
      const module = await import("./openai/openai-provider.ts");
      return deps.checkAtStart === true
        ? module.startOpenAiProvider(options, deps)
        : module.createOpenAiProvider(options, deps);
    },
  };
}

function huggingFace(settings: ProviderSettings, deps: CandidateDependencies): Candidate {
  const { HF_API_KEY: apiKey, HF_BASE_URL: baseUrl } = settings;
  if (!apiKey && !baseUrl) return { reason: "HF_API_KEY is not set" };
  const options = { apiKey, baseUrl, model: settings.HF_MODEL, contextTokens: settings.HF_CONTEXT_TOKENS };
  return {
    remote: !isLoopback(baseUrl),
    async start() {
      const module = await import("./huggingface/huggingface-provider.ts");
      return deps.checkAtStart === true
        ? module.startHuggingFaceProvider(options, deps)
        : module.createHuggingFaceProvider(options, deps);
    },
  };
}

function echo(settings: ProviderSettings, deps: CandidateDependencies): Candidate {
  return {
    remote: false,
    async start() {
      const { createEchoProvider } = await import("./echo/echo-provider.ts");
      const { ECHO_TOKEN_MS: tokenMs, ECHO_SLOTS: slots, ECHO_ANSWER_BYTES: answerBytes } = settings;
      const queueLimit = settings.LOCAL_QUEUE_LIMIT;
      return createEchoProvider({ tokenMs, slots, answerBytes, queueLimit }, deps.clock);
    },
  };
}

/**
 * The order in which providers are tried: the chosen one, then the fallbacks, each once.
 *
 * @param fallback AI_FALLBACK; if undefined (not set), openai if it has a key. `echo` is never a fallback.
 */
export function providerOrder(
  chosen: ProviderName,
  fallback: readonly string[] | undefined,
  openAiHasKey: boolean,
): readonly ProviderName[] {
  const requested = fallback ?? (openAiHasKey && chosen !== "echo" ? ["openai"] : []);
  const names = requested.filter(
    (word): word is ProviderName => word === "local" || word === "openai" || word === "huggingface",
  );
  return [...new Set([chosen, ...names])];
}

export interface SelectionInput {
  /** AI_PROVIDER */
  readonly chosen: ProviderName;
  /** AI_FALLBACK; undefined if it is not set. */
  readonly fallback: readonly string[] | undefined;
  readonly openAiHasKey: boolean;
  readonly candidates: Readonly<Record<ProviderName, Candidate>>;
  readonly logger: Logger;
}

/** Starts the first provider of the order that can start, and collects the reasons of those that cannot. */
export async function selectProvider(input: SelectionInput): Promise<Selection> {
  let provider: ChatProvider | null = null;
  const links: ChainLink[] = [];
  const skipped: Skipped[] = [];
  for (const name of providerOrder(input.chosen, input.fallback, input.openAiHasKey)) {
    const candidate = input.candidates[name];
    if ("reason" in candidate) {
      skipped.push({ name, reason: candidate.reason });
      continue;
    }
    const { remote } = candidate;
    const start = () => candidate.start();
    if (provider !== null) {
      // Fallbacks start on first use, so that an unused local model takes no memory.
      links.push({ name, remote, provider: null, start });
      continue;
    }
    try {
      provider = await candidate.start();
      links.push({ name, remote, provider, start });
    } catch (error) {
      const reason = error instanceof ServiceError ? error.message : "it failed to start; see the server log";
      skipped.push({ name, reason });
      input.logger.error({ provider: name, err: error }, "provider failed to start");
    }
  }
  const order = links.map(({ name }) => name);
  const textMayLeave = links.some(({ remote }) => remote);
  const reasons = skipped.map(({ name, reason }) => `${name}: ${reason}`).join("; ");
  const remedy = `No provider could be started (${reasons}). Fix one of them, or set AI_PROVIDER to another one.`;
  return { provider, order, links, skipped, textMayLeave, remedy: provider ? "" : remedy };
}
