import type { Turn } from "../../../core/fit-prompt.ts";
import type { Message } from "./completion-body.ts";
import type { Dialect } from "./dialect.ts";

/** Joins adjacent turns of one role. */
function alternating(turns: readonly Turn[]): Turn[] {
  const joined: Turn[] = [];
  for (const turn of turns) {
    const last = joined.at(-1);
    if (last?.role === turn.role) {
      joined[joined.length - 1] = { role: turn.role, content: `${last.content}\n\n${turn.content}` };
    } else joined.push(turn);
  }
  return joined;
}

/**
 * The messages of a request for a model whose template accepts the given roles.
 *
 * @param system system text; may be empty
 */
export function messagesFor(roles: Dialect["roles"], system: string, turns: readonly Turn[]): Message[] {
  const user: Turn = { role: "user", content: system };
  if (roles === "no_system") return messageList(alternating(system ? [user, ...turns] : turns));
  const rest = messageList(roles === "alternating" ? alternating(turns) : turns);
  return system ? [{ role: "system", content: system }, ...rest] : rest;
}

function messageList(turns: readonly Turn[]): Message[] {
  return turns.map(({ role, content }) => ({ role, content }));
}
