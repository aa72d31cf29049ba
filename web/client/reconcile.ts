import type { HistoryReplyFrame } from "../../src/protocol/server-frames.ts";
import type { Turn } from "./transcript.ts";

/** What a page learns from the server's history of its conversation. */
export interface Reconciled {
  /** Turns that waited when the page was left, and whose answer the server has whole. */
  readonly finished: readonly { readonly turn: Turn; readonly content: string }[];
  /** Turns of other pages, oldest first; they belong before the turns that still wait. */
  readonly missing: readonly { readonly text: string; readonly content: string }[];
  /** Running answers of other pages. */
  readonly running: HistoryReplyFrame["running"];
}

/**
 * Holds the turns of a page that was loaded anew against the server's history. Only what follows the last turn that both
 * know is new; when they have none in common, nothing is taken over, except by a page that has no answer yet.
 */
export function reconcile(turns: readonly Turn[], history: HistoryReplyFrame): Reconciled {
  const runningIds = new Set(history.running.map(({ id }) => id));
  const waiting = turns.filter(({ status, id }) => status === "pending" && !runningIds.has(id));
  const finished: { turn: Turn; content: string }[] = [];
  const missing: { text: string; content: string }[] = [];
  for (const pair of pairsAfterKnown(turns, history)) {
    const index = waiting.findIndex(({ text }) => chatText(text) === pair.text);
    const turn = waiting[index];
    if (turn === undefined) {
      missing.push(pair);
      continue;
    }
    finished.push({ turn, content: pair.content });
    // A conversation answers in order: those before it are over too, or were commands.
    waiting.splice(0, index + 1);
  }
  const known = new Set(turns.map(({ id }) => id));
  return { finished, missing, running: history.running.filter(({ id }) => !known.has(id)) };
}

function pairsAfterKnown(turns: readonly Turn[], { turns: said }: HistoryReplyFrame) {
  const pairs: { text: string; content: string }[] = [];
  for (let index = 0; index + 1 < said.length; index++) {
    const [user, assistant] = [said[index], said[index + 1]];
    if (user?.role !== "user" || assistant?.role !== "assistant") continue;
    pairs.push({ text: user.content, content: assistant.content });
    index++;
  }
  const last = turns.findLast(({ status, command, content }) => {
    return (status === "done" || status === "stopped") && command === undefined && content !== "";
  });
  if (last === undefined) return pairs;
  const text = chatText(last.text);
  const known = pairs.findLastIndex((pair) => pair.text === text && pair.content === last.content);
  return known === -1 ? [] : pairs.slice(known + 1);
}

/** A typed text as the history keeps it: a doubled slash makes a chat text of what looks like a command. */
function chatText(typed: string): string {
  const text = typed.trimStart();
  return text.startsWith("//") ? text.slice(1) : typed;
}
