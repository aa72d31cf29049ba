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
import type { CompletionBody } from "./dialect/completion-body.ts";
import type { Dialect } from "./dialect/dialect.ts";
import { messagesFor } from "./dialect/message-roles.ts";
import type { SamplingParameter } from "./dialect/refusal.ts";

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

function samplingOf(sampling: Sampling, { omit, maxStops }: Dialect): Partial<CompletionBody> {
  const { temperature, topP, seed, stop } = sampling;
  const isAllowed = (name: SamplingParameter) => !omit.includes(name);
  return {
    ...(temperature !== undefined && isAllowed("temperature") && { temperature }),
    ...(topP !== undefined && isAllowed("top_p") && { top_p: topP }),
    ...(seed !== undefined && isAllowed("seed") && { seed }),
    ...(stop && stop.length > 0 && isAllowed("stop") && { stop: stop.slice(0, maxStops) }),
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
  const { min, max } = dialect.tokenRange;
  const body: CompletionBody = {
    model: target.model,
    messages: messagesFor(dialect.roles, system, [...fitted.turns, ...tail]),
    stream: true,
    [dialect.tokenLimit]: Math.min(Math.max(request.maxTokens, min), max),
    ...(dialect.streamUsage && { stream_options: { include_usage: true } }),
    ...samplingOf(sampling, dialect),
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
