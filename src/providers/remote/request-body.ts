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

/**
 * Differences between compatible servers. Starts with {@link firstDialect}; {@link adaptDialect} derives the others.
 */
export interface Dialect {
  readonly tokenLimit: "max_tokens" | "max_completion_tokens";
  readonly schema: "response_format" | "prompt";
  /** Whether `stream_options.include_usage` is sent. */
  readonly streamUsage: boolean;
  /**
   * Sampling parameters that are omitted because the server rejects them: an answer without them is better than none.
   */
  readonly omit: readonly SamplingParameter[];
}

/** Sampling parameters that a server may not support: OpenAI's reasoning models accept no temperature, for instance. */
export const samplingParameters = ["temperature", "top_p", "seed", "stop"] as const;
export type SamplingParameter = (typeof samplingParameters)[number];

export const firstDialect: Dialect = {
  tokenLimit: "max_tokens",
  schema: "response_format",
  streamUsage: true,
  omit: [],
};

/** Parameters that may be named in error messages and that are looked for in a rejection. */
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
 * The dialect to try next after a server rejected parameters, or null if nothing is left to change.
 *
 * @param unsupported whether the server does not support the parameters at all. If it only rejects a sampling value,
 *   the client has to fix that value, and values of other clients may be valid.
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

/**
 * A type rather than an interface, because the types of the SDKs have index signatures that interfaces do not satisfy.
 */
export type Message = {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
};

/** Body of `POST …/chat/completions`, limited to the fields that both SDKs and compatible servers support. */
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

/** OpenAI rejects more stop texts. All of them are also applied by {@link AnswerReader}. */
const MAX_STOP_TEXTS = 4;

const GO_ON =
  "Your answer above was cut off. Continue it from exactly where it ends. Do not repeat anything and do not comment.";

/** An answer that is not the requested JSON. It is sent back to the model with a description of the fault. */
export interface Correction {
  readonly answer: string;
  /** Description for the model. */
  readonly fault: string;
}

/** Characters of a wrong answer that are sent back: enough to show the fault, few enough for a small window. */
const CORRECTED_CHARS = 1000;

/** Turns appended after the user's last one: a partial answer to continue, or a wrong answer to correct. */
function tailOf(
  { continueFrom, jsonSchema }: ChatRequest,
  correction: Correction | undefined,
): readonly Turn[] {
  if (correction) {
    const { answer, fault } = correction;
    const instruction = `That is not what was asked for: ${fault}. Answer again, with the JSON value and nothing else.`;
    const turn: Turn = { role: "user", content: instruction };
    // Servers reject an empty turn.
    return answer.trim() === ""
      ? [turn]
      : [{ role: "assistant", content: answer.slice(0, CORRECTED_CHARS) }, turn];
  }
  // A partial JSON value cannot be continued by an instruction, so the answer starts again.
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

/** Whether a schema fits OpenAI's strict mode, where all objects are closed and all properties are required. */
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
  const isAllowed = (name: SamplingParameter) => !omit.includes(name);
  return {
    ...(temperature !== undefined && isAllowed("temperature") && { temperature }),
    ...(topP !== undefined && isAllowed("top_p") && { top_p: topP }),
    ...(seed !== undefined && isAllowed("seed") && { seed }),
    ...(stop && stop.length > 0 && isAllowed("stop") && { stop: stop.slice(0, MAX_STOP_TEXTS) }),
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
    const { code, message } = error;
    // Names only token counts and fields of the request.
    throw new ProviderError(target.provider, code, message, { clientMessage: message });
  }
}

/**
 * Fits a request to the window of a remote model and builds the body in the server's dialect. With `continueFrom`, the
 * text so far becomes the assistant's last turn, followed by an instruction to continue.
 *
 * @param correction the answer to correct; the schema is then added to the prompt in every dialect
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
