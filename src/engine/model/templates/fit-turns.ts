import type { Turn } from "../../../core/fit-prompt.ts";
import type { TemplateMessage, TemplateShape } from "./template-shape.ts";

/** Stands for the system message where a template cannot do without one. */
const DEFAULT_SYSTEM = "You are a helpful assistant.";
/** Stands for the turns before an answer that is the first turn. */
const EARLIER_TURNS = "(Earlier messages are left out.)";
/** Between texts that share a message. */
const SEPARATOR = "\n\n";
/** Names of the roles where a template takes one message only. */
const SPEAKERS = { user: "User", assistant: "Assistant" } as const;

/**
 * Arranges a conversation as a template takes it. Turns of user and assistant alternate in it and begin and end with a
 * user's, which every template takes:
 *
 * - adjacent turns of one role share a message
 * - an answer that is the first turn gets a short message before it
 * - a system text that the template does not write goes to the beginning of the first user's message
 * - where a template writes no earlier turns, the whole conversation is one message
 *
 * @param turns oldest first; at least one, of which the last is a user's
 */
export function fitTurns(shape: TemplateShape, system: string, turns: readonly Turn[]): TemplateMessage[] {
  const messages = shape.history ? merged(turns) : [{ role: "user" as const, content: transcriptOf(turns) }];
  if (messages[0]?.role === "assistant") messages.unshift({ role: "user", content: EARLIER_TURNS });
  if (shape.system === "refused") return system === "" ? messages : withLead(messages, system);
  const text = system === "" && shape.system === "needed" ? DEFAULT_SYSTEM : system;
  return text === "" ? messages : [{ role: "system", content: text }, ...messages];
}

/** The messages with a text at the beginning of the first one. */
function withLead([first, ...others]: readonly TemplateMessage[], lead: string): TemplateMessage[] {
  return [{ role: "user", content: `${lead}${SEPARATOR}${first?.content ?? ""}` }, ...others];
}

function merged(messages: readonly Turn[]): TemplateMessage[] {
  const result: TemplateMessage[] = [];
  for (const message of messages) {
    const last = result.at(-1);
    if (last?.role !== message.role) result.push(message);
    else result[result.length - 1] = { ...last, content: `${last.content}${SEPARATOR}${message.content}` };
  }
  return result;
}

/** A conversation as one text. A single message stays as it is. */
function transcriptOf(turns: readonly Turn[]): string {
  const [only, ...others] = turns;
  if (only !== undefined && others.length === 0) return only.content;
  return turns.map(({ role, content }) => `${SPEAKERS[role]}: ${content}`).join(SEPARATOR);
}
