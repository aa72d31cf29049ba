import type { Turn } from "../../core/fit-prompt.ts";
import type { Principal } from "../../core/principal.ts";
import type { JsonSchema, Sampling } from "../../providers/provider.ts";
import type { CommandResult } from "../answer-log.ts";
import type { ConversationStore } from "../conversation-store.ts";
import type { Generation } from "../generation.ts";

/** What a command asks a model. The client's context is added by the chat service. */
export interface Question {
  readonly system: string;
  readonly turns: readonly Turn[];
  /** Whether the turns go on from this conversation's: the model may then reuse what it holds of it, and keeps it. */
  readonly ofConversation: boolean;
  readonly maxTokens: number;
  readonly sampling: Sampling;
  /** When present the answer is JSON of this shape and is not streamed. */
  readonly jsonSchema?: JsonSchema;
}

/** What a running command may use. */
export interface CommandContext {
  /** Arguments by name; every required one is there and no unknown one. */
  readonly args: ReadonlyMap<string, string>;
  readonly owner: Principal;
  readonly conversation: string;
  readonly store: ConversationStore;
  /** The setting SYSTEM_PROMPT. */
  readonly systemPrompt: string;
  /** Tokens an answer may have in this message. */
  readonly maxTokens: number;
  /** The setting MAX_OUTPUT_TOKENS: what an answer may have where a message names nothing. */
  readonly maxOutputTokens: number;
  /** What the message's frame says of sampling. */
  readonly sampling: Sampling;
  /** Tokens of the model's window; null while there is no provider. */
  readonly windowTokens: number | null;
  countTokens(text: string): Promise<number>;
  /** The client's context has changed: the provider may get ready for it. */
  prepare(context: string): void;
  /** The provider drops what it keeps of this conversation, or of `all` that is this client's. */
  forget(all: boolean): void;
  /** Asks the model. @throws ServiceError when it cannot answer, StopReason when the command was cancelled. */
  ask(question: Question): Promise<Generation>;
}

export interface CommandOutcome {
  readonly result: CommandResult;
  /** The model's part in it, where it was asked. */
  readonly generation?: Generation;
}

export interface CommandArgument {
  readonly name: string;
  readonly example: string;
}

/** One command: what it is called, what it takes, what it does. */
export interface Command {
  /** Lower case, without the slash. */
  readonly name: string;
  readonly description: string;
  /** All of them are required. */
  readonly args: readonly CommandArgument[];
  run(context: CommandContext): Promise<CommandOutcome>;
}

/** The line that shows how a command is written. */
export function usageOf(command: Command): string {
  return [`/${command.name}`, ...command.args.map(({ name, example }) => `${name}="${example}"`)].join(" ");
}

export function succeed(fields: Record<string, unknown>, generation?: Generation): CommandOutcome {
  const result = { status: "success", ...fields } as const;
  return generation === undefined ? { result } : { result, generation };
}

export function refuse(message: string): CommandOutcome {
  return { result: { status: "error", message } };
}
