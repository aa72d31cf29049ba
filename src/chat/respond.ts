import { NO_PROVIDER_TEXT, ServiceError } from "../core/errors.ts";
import { estimateTokens, type Turn } from "../core/fit-prompt.ts";
import type { MessageSyntax } from "../protocol/command-syntax.ts";
import type { ChatRequest } from "../providers/provider.ts";
import type { AnswerOutcome } from "./answer-log.ts";
import type { ChatServiceOptions } from "./chat-options.ts";
import { faultOf, findCommand } from "./commands/command-table.ts";
import { refuse, usageOf, type Command, type CommandOutcome, type Question } from "./commands/command.ts";
import { conversationKey } from "./conversation-key.ts";
import { generate, type Generation } from "./generation.ts";
import { promptTurns } from "./prompt-turns.ts";
import type { RunningAnswer } from "./running-answer.ts";

/**
 * Answers one message. Called when the message is first in its conversation, so that history and context include all
 * earlier messages.
 * @throws ServiceError when no answer can be made; StopReason when a command was cancelled or abandoned.
 */
export function respond(running: RunningAnswer, options: ChatServiceOptions): Promise<AnswerOutcome> {
  const { syntax } = running;
  return syntax.kind === "chat" ? chat(running, syntax.text, options) : command(running, syntax, options);
}

async function chat(
  running: RunningAnswer,
  text: string,
  options: ChatServiceOptions,
): Promise<AnswerOutcome> {
  const { store, settings } = options;
  const { owner, conversation, maxTokens, sampling } = running.submission;
  const turn: Turn = { role: "user", content: text };
  const history = await store.turns(owner.client, conversation);
  const generation = await ask(running, options, {
    system: settings.systemPrompt,
    turns: [...history, turn],
    ofConversation: true,
    maxTokens: maxTokens ?? settings.maxOutputTokens,
    sampling,
  });
  // An answer without text is kept too, so that the client's message is not lost.
  if (generation.text !== "" || !stoppedByUser(generation)) {
    await store.append(owner, conversation, [turn, { role: "assistant", content: generation.text }]);
  }
  const { finishReason, usage, context, provider, model, timings } = generation;
  return { type: "message", finishReason, usage, context, provider, model, timings };
}

async function command(
  running: RunningAnswer,
  syntax: Exclude<MessageSyntax, { kind: "chat" }>,
  options: ChatServiceOptions,
): Promise<AnswerOutcome> {
  const name = syntax.kind === "command" ? syntax.command.name : syntax.name;
  const known = findCommand(name) as Command;
  const fault = syntax.kind === "malformed" ? malformed(known, syntax.fault) : faultOf(known, syntax.command);
  const outcome = fault === undefined ? await runCommand(known, running, options) : refuse(fault);
  const { result, generation } = outcome;
  if (generation === undefined) return { type: "command", command: name, result };
  const { usage, finishReason } = generation;
  return { type: "command", command: name, result, usage, finishReason };
}

function malformed(known: Command, fault: string): string {
  return `Cannot read the arguments: ${fault}. Usage: ${usageOf(known)}`;
}

function runCommand(
  known: Command,
  running: RunningAnswer,
  options: ChatServiceOptions,
): Promise<CommandOutcome> {
  const { store, settings, provider } = options;
  const { owner, conversation, maxTokens, sampling } = running.submission;
  const { syntax } = running;
  return known.run({
    args: syntax.kind === "command" ? syntax.command.args : new Map(),
    owner,
    conversation,
    store,
    systemPrompt: settings.systemPrompt,
    maxTokens: maxTokens ?? settings.maxOutputTokens,
    maxOutputTokens: settings.maxOutputTokens,
    sampling,
    windowTokens: provider?.describe().contextTokens ?? null,
    countTokens: (text) =>
      provider?.countTokens(text, { principal: owner, signal: running.signal }) ??
      Promise.resolve(estimateTokens(text)),
    prepare: (context) => provider?.prepare?.({ system: settings.systemPrompt, context, principal: owner }),
    forget: (all) => {
      const { client } = owner;
      provider?.forget?.(all ? { client } : { client, conversation: conversationKey(client, conversation) });
    },
    ask: async (question) => {
      const generation = await ask(running, options, question);
      // A command has no partial result.
      if (stoppedByUser(generation)) throw running.signal.reason;
      return generation;
    },
  });
}

async function ask(
  running: RunningAnswer,
  options: ChatServiceOptions,
  question: Question,
): Promise<Generation> {
  const { provider, store, clock, metrics } = options;
  if (provider === null) throw new ServiceError("no_provider", NO_PROVIDER_TEXT);
  const { owner, conversation } = running.submission;
  const context = await store.context(owner.client);
  const { system, turns, ofConversation, maxTokens, sampling, jsonSchema } = question;
  const request: ChatRequest = {
    system,
    context,
    turns: promptTurns(turns, provider.describe().contextTokens),
    maxTokens,
    sampling,
    principal: owner,
    // Other prompts get their own key, so the conversation keeps its slot. Names of conversations contain no slash.
    conversation: conversationKey(
      owner.client,
      ofConversation ? conversation : `/${running.reader.meta.command}`,
    ),
  };
  return generate({
    provider,
    request: jsonSchema === undefined ? request : { ...request, jsonSchema },
    signal: running.signal,
    stop: (reason) => running.stop(reason),
    writer: running.writer,
    streamed: jsonSchema === undefined,
    arrivedAt: running.arrivedAt,
    clock,
    metrics,
  });
}

function stoppedByUser({ finishReason }: Generation): boolean {
  return finishReason === "cancelled" || finishReason === "abandoned";
}
