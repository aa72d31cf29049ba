import type {
  AnswerEvent,
  AnswerMeta,
  AnswerOutcome,
  AnswerReader,
  AnswerStatus,
  FallbackEvent,
} from "../../chat/answer-log.ts";
import { ServiceError, type ErrorReport } from "../../core/errors.ts";
import type {
  CommandResponseFrame,
  ErrorFrame,
  FallbackFrame,
  HistoryCutFrame,
  MessageEndFrame,
  NoticeFrame,
  ProgressFrame,
  QueuedFrame,
  ServerFrame,
  WireUsage,
} from "../../protocol/server-frames.ts";

type Usage = Extract<AnswerOutcome, { type: "message" }>["usage"];

/** The beginning of a `token` or `reasoning` frame, in UTF-8. It is the same for the whole answer and encoded once. */
export function textHead(type: "token" | "reasoning", { id, answer }: AnswerMeta): Uint8Array {
  const names = `"id":${JSON.stringify(id)},"answer":${JSON.stringify(answer)}`;
  return Buffer.from(`{"type":"${type}",${names},"content":`, "utf8");
}

export function statusFrame({ id, answer }: AnswerMeta, status: AnswerStatus): QueuedFrame | ProgressFrame {
  if (status.type === "progress") {
    return { type: "progress", id, answer, processed: status.processed, total: status.total };
  }
  const { reason, position, etaMs } = status;
  return { type: "queued", id, answer, reason, position, ...(etaMs !== undefined && { eta_ms: etaMs }) };
}

/**
 * The frame of an event for one socket. A socket that reads only the original frames gets a notice of a fallback, and
 * null for a cut of the history: with each answer of a long conversation, it would get two frames instead of one.
 */
export function eventFrame(
  { id, answer }: AnswerMeta,
  event: AnswerEvent,
  streamed: boolean,
): FallbackFrame | HistoryCutFrame | NoticeFrame | null {
  if (event.type === "history_cut") {
    const { turns } = event;
    return streamed
      ? { type: "system", event: "history_cut", message: historyCutText(turns), id, answer, turns }
      : null;
  }
  const { fromProvider, toProvider, offset, phase, reason } = event;
  if (!streamed) return fallbackNotice(event);
  return {
    type: "fallback",
    id,
    answer,
    from_provider: fromProvider,
    to_provider: toProvider,
    at: offset,
    phase,
    reason,
  };
}

function historyCutText(turns: number): string {
  const oldest = turns === 1 ? "its oldest message was" : `its ${turns} oldest messages were`;
  return `This conversation is longer than the model can process, so ${oldest} left out.`;
}

function fallbackNotice({ fromProvider, toProvider, reason }: FallbackEvent): NoticeFrame {
  return {
    type: "system",
    event: "provider_changed",
    message: `The answer continues with ${toProvider} because ${fromProvider} failed: ${reason}`,
  };
}

/** The frame that ends an answer. */
export function endFrame(
  reader: AnswerReader,
  outcome: AnswerOutcome,
): MessageEndFrame | CommandResponseFrame | ErrorFrame {
  const { meta } = reader;
  const { id, answer, conversation } = meta;
  if (outcome.type === "error") return errorFrame(outcome.error, { id, answer });
  if (outcome.type === "command") {
    const { command, result, usage, finishReason } = outcome;
    return {
      type: "command_response",
      command,
      result,
      id,
      answer,
      conversation,
      ...(usage !== undefined && { usage: wireUsage(usage) }),
      ...(finishReason !== undefined && { finish_reason: finishReason }),
    };
  }
  const { finishReason, usage, context, provider, model, timings } = outcome;
  return {
    type: "message",
    content: reader.read(0),
    id,
    answer,
    conversation,
    finish_reason: finishReason,
    usage: { ...wireUsage(usage), context_tokens: context.tokens, context_limit: context.limit },
    provider,
    model,
    timings: {
      queue_ms: timings.queueMs,
      ...(timings.firstTokenMs !== null && { ttft_ms: timings.firstTokenMs }),
      total_ms: timings.totalMs,
    },
  };
}

/** Replaces the final frame if the text was evicted before this socket had read it. */
export function evictedFrame({ id, answer }: AnswerMeta): ErrorFrame {
  const message = "The text of this answer was removed to free memory before you had read all of it.";
  return errorFrame(new ServiceError("resume_expired", message).report(), { id, answer });
}

export function errorFrame(report: ErrorReport, names: { id?: string; answer?: string } = {}): ErrorFrame {
  const { code, message, retryable, retryAfterMs } = report;
  return {
    type: "error",
    message,
    code,
    retryable,
    ...(retryAfterMs !== undefined && { retry_after_ms: retryAfterMs }),
    ...names,
  };
}

// Each answer has a usage, and most have no optional field: spreading conditions takes longer than all the rest.
function wireUsage({
  promptTokens,
  completionTokens,
  cachedTokens,
  reasoningTokens,
  estimated,
}: Usage): WireUsage {
  const usage = {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    cached_tokens: cachedTokens,
  };
  if (reasoningTokens === undefined && estimated !== true) return usage;
  return {
    ...usage,
    ...(reasoningTokens !== undefined && { reasoning_tokens: reasoningTokens }),
    ...(estimated === true && { estimated: true }),
  };
}

/** The JSON text of a frame. */
export function encode(frame: ServerFrame): string {
  return JSON.stringify(frame);
}
