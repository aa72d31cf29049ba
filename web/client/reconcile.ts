import type { HistoryReplyFrame } from "../../src/protocol/server-frames.ts";
import type { Turn } from "./transcript.ts";

/** Differences between the turns of a page and the history of the server. */
export interface Reconciled {
  /** Turns that were pending when the page was left and whose answers are complete now. */
  readonly finished: readonly { readonly turn: Turn; readonly content: string }[];
  /** Turns of other pages, oldest first. They belong before the pending turns. */
  readonly missing: readonly { readonly text: string; readonly content: string }[];
  /** Running answers to messages of other pages. */
  readonly running: HistoryReplyFrame["running"];
}

/**
 * Compares the turns of a reloaded page with the history of the server. Only history after the last common turn is new.
 * If there is no common turn, nothing is new, except for a page that has no answers yet.
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
    // A conversation answers in order, so earlier pending turns have ended too, or were commands.
    waiting.splice(0, index + 1);
  }
  const known = new Set(turns.map(({ id }) => id));
  return { finished, missing, running: history.running.filter(({ id }) => !known.has(id)) };
}

function pairsAfterKnown(turns: readonly Turn[], { turns: messages }: HistoryReplyFrame) {
  const pairs: { text: string; content: string }[] = [];
  for (let index = 0; index + 1 < messages.length; index++) {
    const [user, assistant] = [messages[index], messages[index + 1]];
    if (user?.role !== "user" || assistant?.role !== "assistant") continue;
    pairs.push({ text: user.content, content: assistant.content });
    index++;
  }
  const last = turns.findLast(({ status, command, content, facts }) => {
    const isKept = content !== "" || (status === "done" && facts?.finishReason !== "abandoned");
    return (status === "done" || status === "stopped") && command === undefined && isKept;
  });
  if (last === undefined) return pairs;
  const text = chatText(last.text);
  const known = pairs.findLastIndex((pair) => pair.text === text && pair.content === last.content);
  return known === -1 ? [] : pairs.slice(known + 1);
}

/** Converts typed text to the form in the history, where the leading `//` of a chat text is a single slash. */
function chatText(typed: string): string {
  const text = typed.trimStart();
  return text.startsWith("//") ? text.slice(1) : typed;
}
