import { estimateTokens } from "../../core/estimate-tokens.ts";
import { fitPrompt, systemMessage, type FittedPrompt, type Turn } from "../../core/fit-prompt.ts";
import { ServiceError } from "../../core/errors.ts";
import { ProviderError } from "../provider-error.ts";
import type { ChatRequest, JsonSchema } from "../provider.ts";

/** What compatible servers differ in. Starts with what most of them know; {@link adaptDialect} learns the rest. */
export interface Dialect {
  readonly tokenLimit: "max_tokens" | "max_completion_tokens";
  readonly schema: "response_format" | "prompt";
  /** Whether `stream_options.include_usage` is sent. */
  readonly streamUsage: boolean;
}

export const firstDialect: Dialect = {
  tokenLimit: "max_tokens",
  schema: "response_format",
  streamUsage: true,
};

/** The parameters that may be named to people and looked for in a rejection. */
export const ownParameters = [
  "max_tokens",
  "max_completion_tokens",
  "response_format",
  "json_schema",
  "stream_options",
  "temperature",
  "top_p",
  "seed",
  "stop",
] as const satisfies readonly string[];

/** The dialect to try next after a server rejected parameters, or null when nothing is left to change. */
export function adaptDialect(dialect: Dialect, rejected: readonly string[]): Dialect | null {
  if (rejected.includes("response_format") || rejected.includes("json_schema")) {
    if (dialect.schema === "response_format") return { ...dialect, schema: "prompt" };
  }
  if (rejected.includes("stream_options") && dialect.streamUsage) return { ...dialect, streamUsage: false };
  if (rejected.includes("max_tokens") && dialect.tokenLimit === "max_tokens") {
    return { ...dialect, tokenLimit: "max_completion_tokens" };
  }
  return null;
}

/** A type and not an interface: the SDKs' own types have index signatures, which interfaces do not satisfy. */
export type Message = {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
};

/** The body of `POST …/chat/completions`, as far as both SDKs and the compatible servers agree on it. */
export interface CompletionBody {
  readonly model: string;
  readonly messages: Message[];
  readonly stream: true;
  readonly stream_options?: { include_usage: true };
  readonly max_tokens?: number;
  readonly max_completion_tokens?: number;
  readonly temperature?: number;
  readonly top_p?: number;
  readonly seed?: number;
  readonly stop?: string[];
  readonly response_format?: {
    readonly type: "json_schema";
    readonly json_schema: {
      readonly name: string;
      readonly schema: Record<string, unknown>;
      readonly strict: boolean;
    };
  };
}

/** Role markers and separators around one message, as OpenAI counts them. */
const OVERHEAD_PER_MESSAGE = 4;
/** More are refused by OpenAI; the reader of the answer looks for all of them anyway. */
const MOST_STOP_TEXTS = 4;

const GO_ON =
  "Your answer above was cut off. Continue it from exactly where it ends. Do not repeat anything and do not comment.";

function withSchema(system: string, schema: JsonSchema): string {
  const rule = `Answer with one JSON value that satisfies this JSON Schema, and nothing else:\n${JSON.stringify(schema)}`;
  return system ? `${system}\n\n${rule}` : rule;
}

/** OpenAI's strict mode wants every object closed and every property required; others are sent as loose schemas. */
function isStrict(schema: unknown): boolean {
  if (Array.isArray(schema)) return schema.every(isStrict);
  if (typeof schema !== "object" || schema === null) return true;
  const { type, properties, required, additionalProperties } = schema as Record<string, unknown>;
  if (type === "object") {
    const names = Object.keys((properties as object | undefined) ?? {});
    if (additionalProperties !== false || !Array.isArray(required)) return false;
    if (!names.every((name) => required.includes(name))) return false;
  }
  return Object.values(schema).every(isStrict);
}

export interface PreparedRequest {
  readonly body: CompletionBody;
  readonly fitted: FittedPrompt;
}

interface Target {
  readonly provider: string;
  readonly model: string;
  readonly contextTokens: number;
}

function fit(request: ChatRequest, system: string, tail: readonly Turn[], target: Target): FittedPrompt {
  const reserved = tail.reduce((sum, turn) => sum + estimateTokens(turn.content) + OVERHEAD_PER_MESSAGE, 0);
  try {
    const fitted = fitPrompt({
      system,
      turns: request.turns,
      windowTokens: target.contextTokens - reserved,
      outputTokens: request.maxTokens,
      countTokens: estimateTokens,
      overheadPerMessage: OVERHEAD_PER_MESSAGE,
    });
    return { ...fitted, promptTokens: fitted.promptTokens + reserved };
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    throw new ProviderError(target.provider, error.code, error.message);
  }
}

/**
 * Fits a request to the window of a remote model and writes the body in a server's dialect. With `continueFrom` the
 * text so far is the assistant's last turn, followed by an instruction to go on.
 *
 * @throws ProviderError `prompt_too_long`
 */
export function prepareRequest(request: ChatRequest, dialect: Dialect, target: Target): PreparedRequest {
  const { sampling, jsonSchema, continueFrom } = request;
  const plain = systemMessage(request.system, request.context);
  const system = jsonSchema && dialect.schema === "prompt" ? withSchema(plain, jsonSchema) : plain;
  const tail: readonly Turn[] = continueFrom
    ? [
        { role: "assistant", content: continueFrom },
        { role: "user", content: GO_ON },
      ]
    : [];
  const fitted = fit(request, system, tail, target);
  const turns = [...fitted.turns, ...tail].map(({ role, content }) => ({ role, content }));
  const messages: Message[] = system ? [{ role: "system", content: system }, ...turns] : turns;
  const { temperature, topP, seed, stop } = sampling;
  const body: CompletionBody = {
    model: target.model,
    messages,
    stream: true,
    [dialect.tokenLimit]: request.maxTokens,
    ...(dialect.streamUsage && { stream_options: { include_usage: true } }),
    ...(temperature !== undefined && { temperature }),
    ...(topP !== undefined && { top_p: topP }),
    ...(seed !== undefined && { seed }),
    ...(stop && stop.length > 0 && { stop: stop.slice(0, MOST_STOP_TEXTS) }),
    ...(jsonSchema &&
      dialect.schema === "response_format" && {
        response_format: {
          type: "json_schema" as const,
          json_schema: { name: "answer", schema: { ...jsonSchema }, strict: isStrict(jsonSchema) },
        },
      }),
  };
  return { body, fitted };
}
