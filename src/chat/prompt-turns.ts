import type { Turn } from "../core/fit-prompt.ts";

/**
 * The turns of a history as a prompt has them: without answers that have no text, which servers refuse and models
 * imitate. The messages around such an answer become one, because many chat templates require the roles to alternate.
 */
export function promptTurns(turns: readonly Turn[]): readonly Turn[] {
  if (!turns.some(isEmptyAnswer)) return turns;
  const kept: Turn[] = [];
  for (const turn of turns) {
    const last = kept.at(-1);
    if (isEmptyAnswer(turn)) continue;
    if (turn.role === "user" && last?.role === "user") {
      kept[kept.length - 1] = { role: "user", content: `${last.content}\n\n${turn.content}` };
    } else kept.push(turn);
  }
  return kept;
}

function isEmptyAnswer({ role, content }: Turn): boolean {
  return role === "assistant" && content.trim() === "";
}
