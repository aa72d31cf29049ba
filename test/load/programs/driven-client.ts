import { WebSocket } from "ws";
import { ChatClient } from "../../../web/client/chat-client.ts";
import type {
  ClientEnvironment,
  ClientEvent,
  ClientSocket,
  SocketHandlers,
} from "../../../web/client/client-events.ts";

/** How a message ended. */
export interface Outcome {
  readonly end: "answer" | "result" | "failed" | "withdrawn" | "stuck";
  /** The text assembled from the streamed pieces. */
  readonly streamed: string;
  /** The text of the closing frame. */
  readonly content: string | undefined;
  /** The `finish_reason`, or the code of the failure. */
  readonly reason: string;
}

/** Highest offset in the `token` frames of one answer, over all its sockets. */
interface Span {
  end: number;
}

/** Counts the bytes received on the wire. Several clients may share one. */
export interface WireCount {
  /** Bytes missing because a piece began beyond the end of the previous one. */
  lost: number;
  /** Bytes received more than once. */
  twice: number;
  bytes: number;
  /** Sockets that closed while an answer was running. */
  cuts: number;
}

export const newWireCount = (): WireCount => ({ lost: 0, twice: 0, bytes: 0, cuts: 0 });

export interface DrivenOptions {
  readonly url: string;
  readonly random: () => number;
  readonly count: WireCount;
  /** Called for each piece of text, before the client receives it. */
  readonly onToken?: () => void;
}

let lastId = 0;

/** The page's own client on sockets of Node.js. It also counts the bytes on the wire below the client. */
export class DrivenClient {
  readonly client: ChatClient;
  readonly #options: DrivenOptions;
  readonly #spans = new Map<string, Span>();
  readonly #texts = new Map<string, string>();
  readonly #settlers = new Map<string, (outcome: Outcome) => void>();
  #socket: WebSocket | undefined;
  #session: string | null = null;

  constructor(options: DrivenOptions) {
    this.#options = options;
    this.client = new ChatClient({ url: options.url }, this.#environment());
    this.client.subscribe((event) => this.#on(event));
  }

  /** Sends a message. `ended` resolves when it ends, or with `stuck` after `waitMs` milliseconds. */
  ask(text: string, conversation: string, waitMs: number): { id: string; ended: Promise<Outcome> } {
    const id = `m${++lastId}`;
    this.#texts.set(id, "");
    const ended = new Promise<Outcome>((resolve) => {
      const timer = setTimeout(() => this.#settle(id, "stuck", undefined, "no end in time"), waitMs);
      this.#settlers.set(id, (outcome) => {
        clearTimeout(timer);
        resolve(outcome);
      });
    });
    this.client.send({ text, conversation, id });
    return { id, ended };
  }

  /** Cuts the connection without a close frame. */
  cut(): void {
    this.#socket?.terminate();
  }

  /** Disconnects and withdraws all messages. With `forget`, the next connection gets a new session. */
  leave(forget: boolean): void {
    this.client.disconnect();
    this.client.withdrawAll();
    this.#spans.clear();
    if (forget) this.#session = null;
  }

  #environment(): ClientEnvironment {
    return {
      openSocket: (url, protocols, handlers) => this.#openSocket(url, protocols, handlers),
      now: () => performance.now(),
      after(ms, callback) {
        const timer = setTimeout(callback, ms);
        return () => clearTimeout(timer);
      },
      random: this.#options.random,
      newId: () => `m${++lastId}`,
      session: {
        load: () => this.#session,
        save: (secret) => {
          this.#session = secret;
        },
      },
    };
  }

  #openSocket(url: string, protocols: readonly string[], handlers: SocketHandlers): ClientSocket {
    const socket = new WebSocket(url, [...protocols], { perMessageDeflate: false, skipUTF8Validation: true });
    this.#socket = socket;
    let listening = true;
    socket.on("message", (data: Buffer) => {
      if (!listening) return;
      const text = data.toString();
      if (text.startsWith('{"type":"token"')) this.#onToken(text);
      handlers.message(text);
    });
    // A cut is reported by a close event with 1006.
    socket.on("error", () => {});
    socket.on("close", (code, reason) => {
      if (!listening) return;
      listening = false;
      if (this.#spans.size > 0) this.#options.count.cuts++;
      handlers.close(code, reason.toString());
    });
    return {
      send(text) {
        if (socket.readyState === WebSocket.OPEN) socket.send(text);
      },
      close() {
        listening = false;
        socket.close(1000);
      },
    };
  }

  #onToken(text: string): void {
    const { answer, from, to } = JSON.parse(text) as { answer: string; from: number; to: number };
    const { count } = this.#options;
    let span = this.#spans.get(answer);
    if (span === undefined) {
      span = { end: 0 };
      this.#spans.set(answer, span);
    }
    count.bytes += to - from;
    if (from > span.end) count.lost += from - span.end;
    else count.twice += Math.min(span.end, to) - from;
    span.end = Math.max(span.end, to);
    this.#options.onToken?.();
  }

  #on(event: ClientEvent): void {
    switch (event.type) {
      case "text":
        this.#texts.set(
          event.id,
          event.restart ? event.delta : (this.#texts.get(event.id) ?? "") + event.delta,
        );
        return;
      case "answer":
        this.#spans.delete(event.frame.answer);
        this.#settle(event.id, "answer", event.frame.content, event.frame.finish_reason);
        return;
      case "result":
        this.#spans.delete(event.frame.answer);
        this.#settle(event.id, "result", undefined, event.frame.result.status);
        return;
      case "failed":
        this.#settle(event.id, "failed", undefined, event.code);
        return;
      case "withdrawn":
        this.#settle(event.id, "withdrawn", undefined, "");
        return;
      default:
    }
  }

  #settle(id: string, end: Outcome["end"], content: string | undefined, reason: string): void {
    const streamed = this.#texts.get(id) ?? "";
    this.#texts.delete(id);
    this.#settlers.get(id)?.({ end, streamed, content, reason });
    this.#settlers.delete(id);
  }
}
