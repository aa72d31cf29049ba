import { WebSocket } from "ws";

/** A frame as honest chats use it. */
interface Frame {
  readonly type: string;
  readonly event?: string;
  readonly session?: string;
  readonly answer?: string;
  readonly content?: string;
  readonly from?: number;
  readonly to?: number;
  readonly code?: string;
  readonly turns?: readonly { readonly role: string; readonly content: string }[];
}

/** What honest chats found, over all of them. */
export interface HonestFigures {
  answers: number;
  /** Reconnects that resumed a running answer. */
  resumed: number;
  /** Errors and refused connections. */
  readonly refusals: string[];
  /** Sockets that the service closed. */
  readonly closes: string[];
  /** Answers that were lost or altered, and incomplete histories. */
  readonly losses: string[];
  /** Milliseconds; filled while `measures` is true. */
  measures: boolean;
  readonly firstTokenMs: number[];
  readonly gapMs: number[];
}

export const newHonestFigures = (): HonestFigures => ({
  answers: 0,
  resumed: 0,
  refusals: [],
  closes: [],
  losses: [],
  measures: false,
  firstTokenMs: [],
  gapMs: [],
});

export interface HonestOptions {
  readonly port: number;
  readonly name: string;
  readonly token: string;
  readonly address: string;
  readonly figures: HonestFigures;
  /** Whether a new socket may be refused with 1013 for a time. */
  readonly mayBeRefused: boolean;
}

/** Characters of an answer: 40 tokens of the echo provider. ASCII, so each character is one byte. */
const CHARS = 160;
/** Longest wait for an answer, in milliseconds. Far more than an answer and its retries take. */
const ANSWER_MS = 90_000;
const RETRY_MS = 250;
const CONVERSATION = "honest";

/** An authenticated client that asks one message after the other and checks each byte of the answers. */
export class HonestChat {
  readonly #options: HonestOptions;
  #socket: WebSocket | undefined;
  #session: string | undefined;
  /** The texts of all messages that were answered, in order. */
  readonly #asked: string[] = [];
  #over = false;
  #text = "";
  #answer: string | undefined;
  #at = 0;
  #lastAt: number | undefined;
  /** Undefined after a reconnect, since the time until the first token then includes it. */
  #askedAt: number | undefined;
  #settle: (() => void) | undefined;
  #onHistory: ((turns: NonNullable<Frame["turns"]>) => void) | undefined;

  constructor(options: HonestOptions) {
    this.#options = options;
  }

  /** Connects and waits for the welcome. With `mayBeRefused`, tries again after a refusal. */
  async connect(): Promise<void> {
    const { figures, mayBeRefused } = this.#options;
    const end = performance.now() + ANSWER_MS;
    for (;;) {
      const refusal = await this.#open();
      if (refusal === null) return;
      if (!mayBeRefused || performance.now() > end || this.#over) {
        figures.refusals.push(`connect: ${refusal}`);
        this.#over = true;
        this.#settle?.();
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  /** Asks until {@link finish} is called. */
  async run(): Promise<void> {
    while (!this.#over) await this.#ask();
  }

  /** Ends after the current answer. */
  finish(): void {
    this.#over = true;
  }

  /** Loses the connection in the middle of an answer, and resumes it on a new one. */
  async reconnect(): Promise<void> {
    const session = this.#session;
    this.#drop();
    await this.connect();
    const answers = this.#answer === undefined ? [] : [{ answer: this.#answer, from: this.#at }];
    this.#lastAt = undefined;
    this.#askedAt = undefined;
    this.#send({ type: "resume", session, answers });
    // The message was sent, but nothing of its answer has arrived: it is sent again, with the same id.
    if (this.#answer === undefined && this.#settle !== undefined) this.#sendMessage();
    this.#options.figures.resumed++;
  }

  /** Compares the history with all messages that were sent. */
  async checkHistory(): Promise<void> {
    const { figures, name } = this.#options;
    // A lost connection has been counted.
    if (this.#socket === undefined) return;
    const turns = await new Promise<Frame["turns"]>((resolve) => {
      const timer = setTimeout(() => resolve(undefined), ANSWER_MS);
      this.#onHistory = (found) => {
        clearTimeout(timer);
        resolve(found);
      };
      this.#send({ type: "history", conversation: CONVERSATION, limit: 1000 });
    });
    const expected = this.#asked.flatMap((content) => [content, content]);
    const found = (turns ?? []).map(({ content }) => content);
    if (JSON.stringify(found) !== JSON.stringify(expected))
      figures.losses.push(`${name}: history of ${found.length} turns instead of ${expected.length}`);
  }

  close(): void {
    this.#drop();
  }

  #ask(): Promise<void> {
    const { name, figures } = this.#options;
    this.#text = `${name} asks ${this.#asked.length} `.repeat(CHARS).slice(0, CHARS);
    this.#answer = undefined;
    this.#at = 0;
    this.#lastAt = undefined;
    this.#askedAt = performance.now();
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        figures.losses.push(`${name}: no end of an answer within ${ANSWER_MS / 1000} s`);
        this.#over = true;
        this.#settle?.();
      }, ANSWER_MS);
      this.#settle = () => {
        clearTimeout(timer);
        this.#settle = undefined;
        resolve();
      };
      this.#sendMessage();
    });
  }

  #sendMessage(): void {
    const id = `m${this.#asked.length}`;
    this.#send({ message: this.#text, id, conversation: CONVERSATION });
  }

  #send(frame: object): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(frame));
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.terminate();
  }

  /** Opens a socket. Resolves with null after the welcome, or with the reason of the refusal. */
  #open(): Promise<string | null> {
    const { port, token, address } = this.#options;
    const socket = new WebSocket(`ws://127.0.0.1:${port}/ws/chat/auth`, ["chat.v1", `bearer.${token}`], {
      localAddress: address,
      perMessageDeflate: false,
    });
    return new Promise((resolve) => {
      let fault = "";
      socket.on("error", (error) => (fault = error.message));
      socket.on("close", (code, reason) => {
        if (this.#socket !== socket) resolve(`${code} ${reason.toString() || fault}`);
        else this.#closed(code, reason.toString());
      });
      socket.on("message", (data: Buffer) => {
        const frame = JSON.parse(data.toString()) as Frame;
        if (frame.event === "welcome") {
          // A resumed session stays that of the client.
          this.#session ??= frame.session;
          this.#socket = socket;
          resolve(null);
        } else if (this.#socket === socket) this.#take(frame);
      });
    });
  }

  #closed(code: number, reason: string): void {
    const { figures, name } = this.#options;
    figures.closes.push(`${name}: ${code} ${reason}`);
    this.#over = true;
    this.#socket = undefined;
    this.#settle?.();
  }

  #take(frame: Frame): void {
    const { figures, name } = this.#options;
    if (frame.type === "token") this.#takeText(frame);
    else if (frame.type === "message") this.#end(frame.content ?? "");
    else if (frame.type === "history") this.#onHistory?.(frame.turns ?? []);
    else if (frame.type === "error") {
      figures.refusals.push(`${name}: ${frame.code}`);
      setTimeout(() => this.#settle?.(), RETRY_MS);
    }
  }

  #takeText({ answer, content = "", from = 0, to = 0 }: Frame): void {
    const { figures, name } = this.#options;
    const now = performance.now();
    if (figures.measures) {
      if (this.#answer === undefined && this.#askedAt !== undefined)
        figures.firstTokenMs.push(now - this.#askedAt);
      else if (this.#lastAt !== undefined) figures.gapMs.push(now - this.#lastAt);
    }
    this.#lastAt = now;
    this.#answer = answer;
    if (from !== this.#at || this.#text.slice(from, to) !== content)
      figures.losses.push(`${name}: text at ${from} differs (expected at ${this.#at})`);
    this.#at = to;
  }

  #end(content: string): void {
    const { figures, name } = this.#options;
    if (content === this.#text && this.#at === CHARS) figures.answers++;
    else figures.losses.push(`${name}: an answer of ${content.length} characters differs`);
    this.#asked.push(content);
    this.#settle?.();
  }
}
