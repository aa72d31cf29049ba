import {
  estimateTokens,
  fitPrompt,
  OVERHEAD_PER_MESSAGE,
  systemMessage,
  type FittedPrompt,
  type Turn,
} from "../../core/fit-prompt.ts";
import { ServiceError } from "../../core/errors.ts";
import { ProviderError } from "../provider-error.ts";
import type { ChatRequest, JsonSchema, Sampling } from "../provider.ts";

/** What compatible servers differ in. Starts with what most of them know; {@link adaptDialect} learns the rest. */
export interface Dialect {
  readonly tokenLimit: "max_tokens" | "max_completion_tokens";
  readonly schema: "response_format" | "prompt";
  /** Whether `stream_options.include_usage` is sent. */
  readonly streamUsage: boolean;
  /** Parameters of sampling that are left out, since the server refuses them: an answer without them is better than none. */
  readonly omit: readonly SamplingParameter[];
}

/** OpenAI's reasoning models, for instance, take no temperature. Stop texts are looked for on this side anyway. */
export const samplingParameters = ["temperature", "top_p", "seed", "stop"] as const;
export type SamplingParameter = (typeof samplingParameters)[number];

export const firstDialect: Dialect = {
  tokenLimit: "max_tokens",
  schema: "response_format",
  streamUsage: true,
  omit: [],
};

/** The parameters that may be named to people and looked for in a rejection. */
export const ownParameters = [
  "max_tokens",
  "max_completion_tokens",
  "response_format",
  "json_schema",
  "stream_options",
  ...samplingParameters,
] as const satisfies readonly string[];

export function isSameDialect(a: Dialect, b: Dialect): boolean {
  return (
    a.tokenLimit === b.tokenLimit &&
    a.schema === b.schema &&
    a.streamUsage === b.streamUsage &&
    a.omit.length === b.omit.length &&
    a.omit.every((name) => b.omit.includes(name))
  );
}

/**
 * The dialect to try next after a server rejected parameters, or null when nothing is left to change.
 *
 * @param unsupported whether it does not know them at all. A value of sampling that it only dislikes is the client's to
 *   fix, and another client's value may be fine.
 */
export function adaptDialect(
  dialect: Dialect,
  rejected: readonly string[],
  unsupported: boolean,
): Dialect | null {
  if (rejected.includes("response_format") || rejected.includes("json_schema")) {
    if (dialect.schema === "response_format") return { ...dialect, schema: "prompt" };
  }
  if (rejected.includes("stream_options") && dialect.streamUsage) return { ...dialect, streamUsage: false };
  if (rejected.includes("max_tokens") && dialect.tokenLimit === "max_tokens") {
    return { ...dialect, tokenLimit: "max_completion_tokens" };
  }
  if (!unsupported) return null;
  const refused = samplingParameters.filter(
    (name) => rejected.includes(name) && !dialect.omit.includes(name),
  );
  if (refused.length > 0) return { ...dialect, omit: [...dialect.omit, ...refused] };
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

/** More are refused by OpenAI; the reader of the answer looks for all of them anyway. */
const MAX_STOP_TEXTS = 4;

const GO_ON =
  "Your answer above was cut off. Continue it from exactly where it ends. Do not repeat anything and do not comment.";

/** An answer that was not the JSON that was asked for: it is shown to the model with what is wrong. */
export interface Correction {
  readonly answer: string;
  /** In words for the model. */
  readonly fault: string;
}

/** Of a wrong answer that much is shown again: enough to see what went wrong, little enough for a small window. */
const CORRECTED_CHARS = 1000;

/** The turns after the user's last one: a partial answer that is to be continued, or a wrong one to be corrected. */
function tailOf(
  { continueFrom, jsonSchema }: ChatRequest,
  correction: Correction | undefined,
): readonly Turn[] {
  if (correction) {
    const { answer, fault } = correction;
    const instruction = `That is not what was asked for: ${fault}. Answer again, with the JSON value and nothing else.`;
    const turn: Turn = { role: "user", content: instruction };
    // Servers refuse an empty turn.
    return answer.trim() === ""
      ? [turn]
      : [{ role: "assistant", content: answer.slice(0, CORRECTED_CHARS) }, turn];
  }
  // Half of a JSON value cannot be continued by an instruction: it starts again whole.
  if (!continueFrom || jsonSchema) return [];
  return [
    { role: "assistant", content: continueFrom },
    { role: "user", content: GO_ON },
  ];
}

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

function samplingOf(sampling: Sampling, omit: readonly SamplingParameter[]): Partial<CompletionBody> {
  const { temperature, topP, seed, stop } = sampling;
  const may = (name: SamplingParameter) => !omit.includes(name);
  return {
    ...(temperature !== undefined && may("temperature") && { temperature }),
    ...(topP !== undefined && may("top_p") && { top_p: topP }),
    ...(seed !== undefined && may("seed") && { seed }),
    ...(stop && stop.length > 0 && may("stop") && { stop: stop.slice(0, MAX_STOP_TEXTS) }),
  };
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
 * @param correction the answer to correct; the schema then stands in the prompt too, whatever the server knows
 * @throws ProviderError `prompt_too_long`
 */
export function prepareRequest(
  request: ChatRequest,
  dialect: Dialect,
  target: Target,
  correction?: Correction,
): PreparedRequest {
  const { sampling, jsonSchema } = request;
  const plain = systemMessage(request.system, request.context);
  const prompted = jsonSchema && (dialect.schema === "prompt" || correction);
  const system = prompted ? withSchema(plain, jsonSchema) : plain;
  const tail = tailOf(request, correction);
  const fitted = fit(request, system, tail, target);
  const turns = [...fitted.turns, ...tail].map(({ role, content }) => ({ role, content }));
  const messages: Message[] = system ? [{ role: "system", content: system }, ...turns] : turns;
  const body: CompletionBody = {
    model: target.model,
    messages,
    stream: true,
    [dialect.tokenLimit]: request.maxTokens,
    ...(dialect.streamUsage && { stream_options: { include_usage: true } }),
    ...samplingOf(sampling, dialect.omit),
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
