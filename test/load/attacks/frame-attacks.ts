import { opcodes, wireFrame } from "../../support/wire-frames.ts";
import type { Attack } from "./attack.ts";
import { Bot, BotPool } from "./bot.ts";
import {
  BUFFERED_BYTES,
  BUFFERED_BYTES_OF_ADDRESS,
  CONNECTION_BYTES,
  MESSAGE_BYTES,
  SESSION_BYTES,
} from "./bounds.ts";

const LONGEST_CONTROL = Buffer.alloc(125, "p");
const times = (frame: Buffer, count: number): Buffer =>
  Buffer.concat(Array.from({ length: count }, () => frame));

const PING_SOCKETS = 64;
const FLOOD_SOCKETS = 200;
const PINGS_OF_FLOOD = 256;
const FRAGMENT_SOCKETS = 200;
const MAX_SESSIONS = 2_000;

/** Bytes of pongs that a flood of this many bytes of pings a second can leave unsent. */
const floodBytes = (perSecond: number, seconds: number): number =>
  perSecond * seconds * PINGS_OF_FLOOD * LONGEST_CONTROL.length;

/** Attacks with frames below the protocol of the chat, and with connections. */
export const frameAttacks = {
  "pings-one": {
    summary: `${PING_SOCKETS} sockets of one address send 44 pings a second each, within the limit, and read no pong`,
    perSecond: 704,
    held: () => PING_SOCKETS * CONNECTION_BYTES + BUFFERED_BYTES_OF_ADDRESS,
    begin(field) {
      const pings = times(wireFrame(opcodes.ping, LONGEST_CONTROL), 4);
      const pool = new BotPool(field, PING_SOCKETS, field.one, { reads: false });
      return (n) => pool.turn(n)?.send(pings);
    },
  },
  "pings-flood": {
    summary: `${FLOOD_SOCKETS} sockets of many addresses send pings in batches of ${PINGS_OF_FLOOD} and read no pong`,
    perSecond: 300,
    held: ({ seconds }) =>
      FLOOD_SOCKETS * CONNECTION_BYTES + Math.min(BUFFERED_BYTES, floodBytes(300, seconds)),
    begin(field) {
      const pings = times(wireFrame(opcodes.ping, LONGEST_CONTROL), PINGS_OF_FLOOD);
      const pool = new BotPool(field, FLOOD_SOCKETS, field.many, { reads: false });
      return (n) => pool.turn(n)?.send(pings);
    },
  },
  fragments: {
    summary: `${FRAGMENT_SOCKETS} sockets send messages in fragments of one byte, 51,200 fragments a second, few of them complete`,
    perSecond: 800,
    held: () => FRAGMENT_SOCKETS * (CONNECTION_BYTES + MESSAGE_BYTES),
    begin(field) {
      const first = wireFrame(opcodes.text, "{", { fin: false });
      const more = times(wireFrame(opcodes.continuation, " ", { fin: false }), 64);
      const last = wireFrame(opcodes.continuation, "}");
      const pool = new BotPool(field, FRAGMENT_SOCKETS, field.many, { reads: true });
      return (n) => {
        const bot = pool.turn(n);
        if (bot === undefined) return;
        const turn = bot.stage % 40;
        if (turn === 0) bot.send(first);
        else bot.send(turn === 39 ? last : more);
      };
    },
  },
  pongs: {
    summary: "200 sockets send pongs that no ping asked for, 4,800 a second",
    perSecond: 300,
    held: () => 200 * CONNECTION_BYTES,
    begin(field) {
      const pongs = times(wireFrame(opcodes.pong, LONGEST_CONTROL), 16);
      const pool = new BotPool(field, 200, field.many, { reads: true });
      return (n) => pool.turn(n)?.send(pongs);
    },
  },
  sessions: {
    summary: `500 WebSockets a second of many addresses connect and leave; MAX_SESSIONS=${MAX_SESSIONS}`,
    perSecond: 500,
    settings: { MAX_SESSIONS: String(MAX_SESSIONS) },
    held: () => 150 * CONNECTION_BYTES + MAX_SESSIONS * SESSION_BYTES,
    begin(field) {
      const open: Bot[] = [];
      return (n) => {
        open.push(new Bot(field, field.many(n), { reads: true }));
        if (open.length > 150) open.shift()?.close();
      };
    },
  },
} satisfies Record<string, Attack>;
