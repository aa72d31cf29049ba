import type { Turn } from "../../core/fit-prompt.ts";
import type { Principal } from "../../core/principal.ts";
import type { JsonSchema, Sampling } from "../../providers/provider.ts";
import type { CommandResult } from "../answer-log.ts";
import type { ConversationStore } from "../conversation-store.ts";
import type { Generation } from "../generation.ts";

/** A command's request to a model. The chat service adds the client's context. */
export interface Question {
  /**
   * Text of the server alone, without any text of a client: the engine shares its cached state between all clients, and
   * `cached_tokens` would reveal what one of them wrote.
   */
  readonly system: string;
  readonly turns: readonly Turn[];
  /** Whether the turns begin with those of this conversation, so that the provider may reuse its cached state. */
  readonly ofConversation: boolean;
  readonly maxTokens: number;
  readonly sampling: Sampling;
  /** When present, the answer is JSON of this shape and is not streamed. */
  readonly jsonSchema?: JsonSchema;
}

/** What a running command has access to. */
export interface CommandContext {
  /** Arguments by name: exactly those that the command declares. */
  readonly args: ReadonlyMap<string, string>;
  readonly owner: Principal;
  readonly conversation: string;
  readonly store: ConversationStore;
  /** The setting SYSTEM_PROMPT. */
  readonly systemPrompt: string;
  /** Maximum tokens of the answer to this message. */
  readonly maxTokens: number;
  /** The setting MAX_OUTPUT_TOKENS: maximum tokens of an answer when the message sets no limit. */
  readonly maxOutputTokens: number;
  /** Sampling parameters of the message's frame. */
  readonly sampling: Sampling;
  /** Size of the model's window in tokens; null when there is no provider. */
  readonly windowTokens: number | null;
  countTokens(text: string): Promise<number>;
  /** Prepares the provider for the client's new context. */
  prepare(context: string): void;
  /** Drops the provider's cached state of this conversation, or with `all` of every conversation of this client. */
  forget(all: boolean): void;
  /** Asks the model. @throws ServiceError when it cannot answer, StopReason when the command was stopped. */
  ask(question: Question): Promise<Generation>;
}

export interface CommandOutcome {
  readonly result: CommandResult;
  /** The model's generation, if the command used a model. */
  readonly generation?: Generation;
}

export interface CommandArgument {
  readonly name: string;
  readonly example: string;
}

/** One command: name, arguments and effect. */
export interface Command {
  /** Lower case, without the slash. */
  readonly name: string;
  readonly description: string;
  /** All are required. */
  readonly args: readonly CommandArgument[];
  run(context: CommandContext): Promise<CommandOutcome>;
}

/** Usage line of a command, with an example for each argument. */
export function usageOf(command: Command): string {
  return [`/${command.name}`, ...command.args.map(({ name, example }) => `${name}="${example}"`)].join(" ");
}

export function succeed(fields: Record<string, unknown>, generation?: Generation): CommandOutcome {
  const result = { status: "success", ...fields } as const;
  return generation === undefined ? { result } : { result, generation };
}

/** Result of a command whose model wrote no text, for instance because its reasoning took all tokens. */
export function withoutText(generation: Generation): CommandOutcome {
  const message =
    generation.finishReason === "length"
      ? "The model reached the limit of its tokens before it wrote anything. Try again with a larger max_tokens."
      : "The model ended without writing anything. Try again.";
  return { result: { status: "error", message }, generation };
}

export function refuse(message: string): CommandOutcome {
  return { result: { status: "error", message } };
}
