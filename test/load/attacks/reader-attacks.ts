import { MIB } from "../programs/server-figures.ts";
import type { Attack } from "./attack.ts";
import { Bot, BotPool, jsonFrame, type BotOptions } from "./bot.ts";
import { ANSWER_BYTES, BUFFERED_BYTES, BUFFERED_BYTES_OF_ADDRESS, CONNECTION_BYTES } from "./bounds.ts";
import type { Field } from "./field.ts";

/** Sockets of the attacks with history. */
const SOCKETS = 32;
/** Messages that fill a conversation, and their characters, of which each takes six bytes of JSON. */
const FILLING = 12;
const FILLING_CHARS = 10_000;
/** Characters of three bytes that fill a frame. */
const WIDE_CHARS = 21_000;

const HISTORY_BUDGET_MB = 16;
const HISTORY_SOCKETS = 500;

const fillHistory = jsonFrame({ message: "\u0001".repeat(FILLING_CHARS), max_tokens: 1 });
const askHistory = jsonFrame({ type: "history", limit: 1000 });
const wideContext = jsonFrame({ message: `/setcontext text="${"雨".repeat(WIDE_CHARS)}"` });
const getContext = jsonFrame({ message: "/getcontext" });
const getSameContext = jsonFrame({ message: "/getcontext", id: "same" });

/** Half of the bots belong to one address. */
const halfOfOne =
  (field: Field) =>
  (index: number): string =>
    index % 2 === 0 ? field.one(index) : field.many(index);

/** Bots that fill a conversation and then ask for it over and over. */
function askForHistories(field: Field, options: BotOptions): (n: number) => void {
  const pool = new BotPool(field, SOCKETS, halfOfOne(field), options);
  return (n) => {
    const bot = pool.turn(n);
    bot?.send(bot.stage < FILLING ? fillHistory : askHistory);
  };
}

/** Bots that set a wide context and then ask for it over and over without reading it. */
function askForContexts(pool: BotPool): (n: number) => void {
  return (n) => {
    const bot = pool.turn(n);
    bot?.send(bot.stage === 0 ? wideContext : getContext);
  };
}

/** Bots that reconnect and request the same answers again. */
class Resumers {
  readonly #field: Field;
  readonly #bots: (Bot | undefined)[] = Array.from({ length: SOCKETS });
  readonly #known: { session?: string; answer?: string }[] = Array.from({ length: SOCKETS }, () => ({}));

  constructor(field: Field) {
    this.#field = field;
  }

  turn(n: number): void {
    const index = n % SOCKETS;
    const known = this.#known[index] as { session?: string; answer?: string };
    const bot = this.#bots[index];
    if (bot === undefined || !bot.isOpen) {
      if (this.#field.mayOpen()) this.#bots[index] = this.#open(index, known);
      return;
    }
    if (!bot.isReady) return;
    if (known.answer === undefined) {
      known.session = bot.session as string;
      bot.send(bot.stage === 0 ? wideContext : getSameContext);
    } else if (bot.stage === 0) bot.send(resumeFrame(known.session as string, known.answer));
    else if (bot.stage < 8) bot.send(getSameContext);
    else bot.close();
  }

  #open(index: number, known: { answer?: string }): Bot {
    return new Bot(this.#field, halfOfOne(this.#field)(index), {
      reads: true,
      text(text) {
        const answer = /"id":"same","answer":"([^"]+)"|"answer":"([^"]+)","id":"same"/.exec(text);
        if (answer !== null) known.answer ??= answer[1] ?? answer[2] ?? "";
      },
    });
  }
}

function resumeFrame(session: string, answer: string): Buffer {
  const answers = Array.from({ length: 32 }, () => ({ answer, from: 0 }));
  return jsonFrame({ type: "resume", session, answers });
}

/** Attacks by what the service sends, read or not. */
export const readerAttacks = {
  "history-read": {
    summary: `${SOCKETS} sockets, half of them of one address, ask for histories of 720 KB and read them`,
    perSecond: 600,
    held: () => SOCKETS * CONNECTION_BYTES + BUFFERED_BYTES,
    begin: (field) => askForHistories(field, { reads: true }),
  },
  "history-unread": {
    summary: "the same, and read nothing",
    perSecond: 600,
    held: () => SOCKETS * CONNECTION_BYTES + BUFFERED_BYTES,
    begin: (field) => askForHistories(field, { reads: false }),
  },
  replays: {
    summary: `${SOCKETS} sockets reconnect, resume and send the same message again, for results of 63 KB`,
    perSecond: 400,
    held: () => SOCKETS * CONNECTION_BYTES + BUFFERED_BYTES,
    begin(field) {
      const resumers = new Resumers(field);
      return (n) => resumers.turn(n);
    },
  },
  "unread-one": {
    summary: "30 sockets of one address ask for results of 63 KB and read nothing",
    perSecond: 300,
    held: () => 30 * CONNECTION_BYTES + BUFFERED_BYTES_OF_ADDRESS + ANSWER_BYTES,
    begin: (field) => askForContexts(new BotPool(field, 30, field.one, { reads: false })),
  },
  "unread-many": {
    summary: "60 sockets of many addresses ask for results of 63 KB and read nothing",
    perSecond: 600,
    held: () => 60 * CONNECTION_BYTES + BUFFERED_BYTES + ANSWER_BYTES,
    begin: (field) => askForContexts(new BotPool(field, 60, field.many, { reads: false })),
  },
  histories: {
    summary: `${HISTORY_SOCKETS} sockets of many addresses in one network fill HISTORY_BUDGET_MB=${HISTORY_BUDGET_MB} over and over`,
    perSecond: 300,
    settings: { HISTORY_BUDGET_MB: String(HISTORY_BUDGET_MB) },
    held: () => HISTORY_SOCKETS * CONNECTION_BYTES + HISTORY_BUDGET_MB * MIB + 32 * MIB,
    begin(field) {
      const message = jsonFrame({ message: "h".repeat(32_000), max_tokens: 1 });
      const pool = new BotPool(field, HISTORY_SOCKETS, field.many, { reads: true });
      return (n) => pool.turn(n)?.send(message);
    },
  },
} satisfies Record<string, Attack>;
