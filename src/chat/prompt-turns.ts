import { estimateTokens, type Turn } from "../core/fit-prompt.ts";

/**
 * Share of the window that joined messages fill at most. The last message of a prompt is never dropped, so without this
 * bound a message would be refused as too long because of earlier ones that got no text.
 */
const MAX_JOINED_SHARE = 0.25;

/**
 * The turns of a history as a prompt has them: without answers that have no text, which servers refuse and models
 * imitate. The messages around such an answer become one, because many chat templates require the roles to alternate;
 * the earlier ones are left out if they are too long together.
 */
export function promptTurns(turns: readonly Turn[], windowTokens: number): readonly Turn[] {
  if (!turns.some(isEmptyAnswer)) return turns;
  const maxTokens = windowTokens * MAX_JOINED_SHARE;
  const kept: Turn[] = [];
  for (const turn of turns) {
    const last = kept.at(-1);
    if (isEmptyAnswer(turn)) continue;
    if (turn.role === "user" && last?.role === "user") {
      const content = `${last.content}\n\n${turn.content}`;
      kept[kept.length - 1] = estimateTokens(content) > maxTokens ? turn : { role: "user", content };
    } else kept.push(turn);
  }
  return kept;
}

const VISIBLE = /\S/;

function isEmptyAnswer({ role, content }: Turn): boolean {
  return role === "assistant" && !VISIBLE.test(content);
}
