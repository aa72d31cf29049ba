import { setTimeout as pause } from "node:timers/promises";
import { createTokenSigner } from "../../../src/auth/token-signer.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { honestAddress } from "./field.ts";
import { HonestChat, newHonestFigures, type HonestFigures } from "./honest-chat.ts";

/** Secret of the tokens of honest clients. */
export const JWT_SECRET = "a secret of the load programs that is long enough";

/** Lifetime of a token in seconds: longer than any run. */
const TOKEN_SECONDS = 3_600;
/** Milliseconds between two reconnects of the client that resumes. */
const RECONNECT_MS = 1_500;
/** Time over which the chats begin, so that their answers do not keep step. */
const SPREAD_MS = 800;

/** Honest chats that run until they are stopped. One of them reconnects and resumes over and over. */
export class HonestChats {
  readonly figures: HonestFigures = newHonestFigures();
  readonly #chats: readonly HonestChat[];
  #runs: Promise<unknown>[] = [];
  #over = false;

  constructor(port: number, count: number, mayBeRefused: boolean) {
    const tokenOf = createTokenSigner({ secret: JWT_SECRET, clock: systemClock });
    this.#chats = Array.from({ length: count }, (_, index) => {
      const name = `honest-${index}`;
      const token = tokenOf(name, TOKEN_SECONDS);
      const address = honestAddress(index);
      return new HonestChat({ port, name, token, address, figures: this.figures, mayBeRefused });
    });
  }

  async start(): Promise<void> {
    await Promise.all(this.#chats.map((chat) => chat.connect()));
    this.#runs = this.#chats.map(async (chat, index) => {
      await pause((index * SPREAD_MS) / this.#chats.length);
      await chat.run();
    });
    const [first] = this.#chats;
    if (first !== undefined) this.#runs.push(this.#reconnect(first));
  }

  /** Waits for the last answers, compares the histories and closes the sockets. */
  async stop(): Promise<void> {
    this.#over = true;
    for (const chat of this.#chats) chat.finish();
    await Promise.all(this.#runs);
    await Promise.all(this.#chats.map((chat) => chat.checkHistory()));
    for (const chat of this.#chats) chat.close();
  }

  async #reconnect(chat: HonestChat): Promise<void> {
    while (!this.#over) {
      await chat.reconnect();
      await pause(RECONNECT_MS);
    }
  }
}
