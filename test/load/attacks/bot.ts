import { opcodes, wireFrame } from "../../support/wire-frames.ts";
import type { Field } from "./field.ts";
import type { Wire } from "./wires.ts";

/** How a bot behaves after its welcome. */
export interface BotOptions {
  /** Whether it reads what the server sends. */
  readonly reads: boolean;
  /** Called with each received chunk as text, one character per byte, while the bot reads. */
  readonly text?: (text: string) => void;
}

/** Maximum received bytes that are searched for the welcome. */
const MAX_GREETING = 16_384;

/** A masked text frame of JSON, as bytes. */
export const jsonFrame = (frame: object): Buffer => wireFrame(opcodes.text, JSON.stringify(frame));

/** An attacker's anonymous WebSocket over plain TCP. */
export class Bot {
  /** The secret of its session, once the welcome has arrived. */
  session: string | undefined;
  /** Number of frames sent, for scenarios that act in stages. */
  stage = 0;
  readonly #wire: Wire | null;

  constructor(field: Field, address: string, { reads, text }: BotOptions) {
    let greeting = "";
    this.#wire = field.wires.open(address, {
      data: (chunk) => {
        if (this.session !== undefined) {
          text?.(chunk.toString("latin1"));
          return;
        }
        if (greeting.length < MAX_GREETING) greeting += chunk.toString("latin1");
        this.session = /"session":"([^"]+)"/.exec(greeting)?.[1];
        if (this.session !== undefined && !reads) this.#wire?.pause();
      },
    });
    this.#wire?.write(field.upgradeRequest);
  }

  get isOpen(): boolean {
    return this.#wire?.isOpen === true;
  }

  /** Whether the welcome has arrived and the connection is open. */
  get isReady(): boolean {
    return this.session !== undefined && this.isOpen;
  }

  send(bytes: Buffer): void {
    this.stage++;
    this.#wire?.write(bytes);
  }

  close(): void {
    this.#wire?.close();
  }
}

/** A number of bots that are opened one by one, and again when the server has closed them. */
export class BotPool {
  readonly #field: Field;
  readonly #bots: (Bot | undefined)[];
  readonly #addressOf: (index: number) => string;
  readonly #options: BotOptions;

  constructor(field: Field, count: number, addressOf: (index: number) => string, options: BotOptions) {
    this.#field = field;
    this.#bots = Array.from({ length: count });
    this.#addressOf = addressOf;
    this.#options = options;
  }

  /** The bot whose turn is step `n`, or undefined if it is not ready: a missing or closed one is opened instead. */
  turn(n: number): Bot | undefined {
    const index = n % this.#bots.length;
    const bot = this.#bots[index];
    if (bot?.isOpen === true) return bot.isReady ? bot : undefined;
    if (this.#field.mayOpen())
      this.#bots[index] = new Bot(this.#field, this.#addressOf(index), this.#options);
    return undefined;
  }
}
