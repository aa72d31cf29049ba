import { messageOf } from "../programs/report.ts";
import { MIB } from "../programs/server-figures.ts";
import type { Attack } from "./attack.ts";
import { BotPool, jsonFrame, type Bot } from "./bot.ts";
import { CONNECTION_BYTES } from "./bounds.ts";

/** Slots and queue of the provider: enough for the honest chats alone. */
const SLOTS = 64;
const QUEUE = 64;
const queueSettings = { ECHO_SLOTS: String(SLOTS), LOCAL_QUEUE_LIMIT: String(QUEUE) };

const CONTEXT_CHARS = 32_000;
const CONTEXT_SOCKETS = 64;
const CONTEXT_BUDGET_MB = 8;

/** Conversations per bot: MAX_ACTIVE_ANSWERS_PER_CLIENT. */
const CONVERSATIONS = 4;

/** A message that the echo provider answers with `tokens` tokens. */
const ask = (tokens: number, n: number): Buffer =>
  jsonFrame({ message: messageOf(tokens, `attack-${n}`), conversation: `c${n % CONVERSATIONS}` });

/** A command that sets a context of the longest text. Texts with different numbers differ. */
const setContext = (n: number): Buffer => {
  const quoted = '/setcontext text=""'.length;
  return jsonFrame({
    message: `/setcontext text="${messageOf(CONTEXT_CHARS, `t${n}`).slice(0, CONTEXT_CHARS - quoted)}"`,
  });
};

/** Sends a bot's messages in turn, so that it uses all of its conversations. */
function sendNext(bot: Bot | undefined, messages: readonly Buffer[]): void {
  bot?.send(messages[bot.stage % messages.length] as Buffer);
}

/** Attacks with messages and commands. */
export const messageAttacks = {
  "queue-one": {
    summary: `40 sockets of one anonymous address keep the queue of ${SLOTS} slots full with long answers`,
    perSecond: 100,
    settings: queueSettings,
    sharesSlots: true,
    held: () => 40 * CONNECTION_BYTES + 16 * MIB,
    begin(field) {
      const pool = new BotPool(field, 40, field.one, { reads: true });
      const messages = Array.from({ length: 16 }, (_, index) => ask(500, index));
      return (n) => sendNext(pool.turn(n), messages);
    },
  },
  "queue-many": {
    summary: "400 sockets of many addresses send twice as many short messages as the slots can answer",
    perSecond: 800,
    settings: queueSettings,
    sharesSlots: true,
    held: () => 400 * CONNECTION_BYTES + 16 * MIB,
    begin(field) {
      const pool = new BotPool(field, 400, field.many, { reads: true });
      const messages = Array.from({ length: 16 }, (_, index) => ask(10, index));
      return (n) => sendNext(pool.turn(n), messages);
    },
  },
  contexts: {
    summary: `${CONTEXT_SOCKETS} sockets, half of them of one address, set contexts of 32,000 characters over and over`,
    perSecond: 100,
    held: () => CONTEXT_SOCKETS * (CONNECTION_BYTES + CONTEXT_CHARS) + 16 * MIB,
    begin(field) {
      const where = (index: number): string => (index % 2 === 0 ? field.one(index) : field.many(index));
      const pool = new BotPool(field, CONTEXT_SOCKETS, where, { reads: true });
      const frames = Array.from({ length: 16 }, (_, index) => setContext(index));
      return (n) => pool.turn(n)?.send(frames[n % frames.length] as Buffer);
    },
  },
  "context-budget": {
    summary: `anonymous sessions set contexts until ANONYMOUS_CONTEXT_BUDGET_MB=${CONTEXT_BUDGET_MB} is full, and leave`,
    perSecond: 200,
    settings: { ANONYMOUS_CONTEXT_BUDGET_MB: String(CONTEXT_BUDGET_MB) },
    contextAfterwards: true,
    held: () => 100 * CONNECTION_BYTES + CONTEXT_BUDGET_MB * MIB,
    begin(field) {
      const pool = new BotPool(field, 100, field.many, { reads: true });
      const frames = Array.from({ length: 16 }, (_, index) => setContext(index));
      return (n) => {
        const bot = pool.turn(n);
        // After its context has been set, the bot leaves, and the next turn opens a new session.
        if (bot !== undefined && bot.stage > 0) bot.close();
        else bot?.send(frames[n % frames.length] as Buffer);
      };
    },
  },
} satisfies Record<string, Attack>;
