import type { HistoryFrame } from "./client-events.ts";
import type { Turn } from "./transcript.ts";

/** What a page learns from the server's history of its conversation. */
export interface Reconciled {
  /** Turns that waited when the page was left, and whose answer the server has whole. */
  readonly finished: readonly { readonly turn: Turn; readonly content: string }[];
  /** Turns of other pages, oldest first; they belong before the turns that still wait. */
  readonly missing: readonly { readonly text: string; readonly content: string }[];
  /** Running answers of other pages, by the server's names. */
  readonly running: readonly string[];
}

/**
 * Holds the turns of a page that was loaded anew against the server's history. Only what follows the last turn that both
 * know is new; when they have none in common, nothing is taken over, except by a page that has no answer yet.
 */
export function reconcile(turns: readonly Turn[], history: HistoryFrame): Reconciled {
  const running = history.running.map(({ answer }) => answer);
  const waiting = turns.filter(
    ({ status, answer }) => status === "pending" && (answer === undefined || !running.includes(answer)),
  );
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
  // An unnamed turn may be any of the running ones: it finds its own by its id.
  const over = new Set(finished.map(({ turn }) => turn));
  const unnamed = turns.some((turn) => {
    return turn.status === "pending" && turn.answer === undefined && !over.has(turn);
  });
  const named = new Set(turns.map(({ answer }) => answer));
  return { finished, missing, running: unnamed ? [] : running.filter((answer) => !named.has(answer)) };
}

function pairsAfterKnown(turns: readonly Turn[], { turns: said }: HistoryFrame) {
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
