import { expect } from "vitest";
import type { AnswerOutcome } from "../../src/chat/answer-log.ts";
import type { ChatSettings } from "../../src/chat/chat-options.ts";
import { ChatService } from "../../src/chat/chat-service.ts";
import type { Submission, AnswerHandle } from "../../src/chat/running-answer.ts";
import { hashOf } from "../../src/core/ids.ts";
import type { Logger } from "../../src/core/logger.ts";
import type { Principal } from "../../src/core/principal.ts";
import { MemoryAnswerLog } from "../../src/stores/memory/memory-answer-log.ts";
import { MemoryConversationStore } from "../../src/stores/memory/memory-conversation-store.ts";
import { CountingMetrics } from "./counting-metrics.ts";
import { ScriptedProvider, type ScriptedProviderOptions } from "./scripted-provider.ts";
import { settle, VirtualClock } from "./virtual-clock.ts";

export const ada: Principal = {
  authenticated: true,
  client: "sub:ada",
  publicId: "ada",
  accountKey: "sub:ada",
};
export const bob: Principal = {
  authenticated: true,
  client: "sub:bob",
  publicId: "bob",
  accountKey: "sub:bob",
};

export interface ChatBenchOptions extends ScriptedProviderOptions {
  readonly settings?: Partial<ChatSettings>;
  /** False: the service has no provider. */
  readonly hasProvider?: boolean;
  readonly maxAnswerBytes?: number;
  readonly answerBudgetBytes?: number;
  readonly contextBudgetBytes?: number;
  readonly anonymousContextBudgetBytes?: number;
  /** Whether a client has a socket; default: every one. */
  readonly isConnected?: (client: string) => boolean;
  readonly contextDropped?: (client: string) => void;
}

/** The chat service on the memory stores, with a scripted provider and virtual time. */
export function chatBench(options: ChatBenchOptions = {}) {
  const clock = new VirtualClock();
  const metrics = new CountingMetrics();
  const provider = new ScriptedProvider(options);
  const log = new MemoryAnswerLog({
    maxAnswerBytes: options.maxAnswerBytes ?? 1_000_000,
    budgetBytes: options.answerBudgetBytes ?? 10_000_000,
    retentionMs: 120_000,
    reservedShare: 0,
    clock,
  });
  const store = new MemoryConversationStore({
    historyBudgetBytes: 10_000_000,
    maxHistoryBytes: 1_000_000,
    historyTtlMs: 600_000,
    contextBudgetBytes: options.contextBudgetBytes ?? 10_000_000,
    anonymousContextBudgetBytes: options.anonymousContextBudgetBytes ?? 10_000_000,
    maxConversationsPerClient: 100,
    maxMessageIds: 10_000,
    reservedShare: 0,
    isConnected: options.isConnected ?? (() => true),
    ...(options.contextDropped && { contextDropped: options.contextDropped }),
    clock,
  });
  const faults: string[] = [];
  const note = (_fields: object, message: string) => void faults.push(message);
  const logger: Logger = { debug() {}, info() {}, warn: note, error: note };
  const settings: ChatSettings = {
    systemPrompt: "Be helpful.",
    maxOutputTokens: 512,
    maxPendingMessages: 3,
    maxActiveAnswersPerClient: 2,
    abandonMs: 15_000,
    answerRetentionMs: 120_000,
    ...options.settings,
  };
  const chat = new ChatService({
    settings,
    provider: options.hasProvider === false ? null : provider,
    log,
    store,
    clock,
    logger,
    metrics,
  });
  const submit = (message: string, changes: Partial<Submission> = {}): Promise<AnswerHandle> => {
    const hash = changes.id === undefined ? "" : hashOf(message);
    return chat.submit({ owner: ada, conversation: "c", message, hash, sampling: {}, ...changes });
  };
  /** Submits a message and watches its answer. */
  const say = async (message: string, changes: Partial<Submission> = {}): Promise<AnswerHandle> => {
    const handle = await submit(message, changes);
    handle.watch();
    await settle();
    return handle;
  };
  return { clock, metrics, provider, log, store, chat, faults, submit, say };
}

export type ChatBench = ReturnType<typeof chatBench>;

/** Outcome of a finished answer. */
export function outcomeOf({ reader }: AnswerHandle): AnswerOutcome {
  if (reader.outcome === null) throw new Error("the answer still runs");
  return reader.outcome;
}

/** Result of a finished command. */
export function resultOf(handle: AnswerHandle): Readonly<Record<string, unknown>> {
  const outcome = outcomeOf(handle);
  if (outcome.type !== "command") throw new Error(`not a command: ${JSON.stringify(outcome)}`);
  return outcome.result;
}

/** Checks that all counts are back at zero. */
export function expectBalanced({ metrics }: ChatBench): void {
  expect(metrics.underflow).toBe(false);
  expect([metrics.waiting, metrics.running]).toEqual([0, 0]);
  expect([metrics.read("answers_running"), metrics.read("messages_pending")]).toEqual([0, 0]);
}
