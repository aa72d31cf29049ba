import type { ErrorFrame, ServerFrame, WireLimits } from "../src/protocol/server-frames.ts";
import { AnswerText } from "./answer-text.ts";
import type { ClientEvent, FailureCode } from "./client-events.ts";

interface Pending {
  readonly id: string;
  readonly conversation: string;
  readonly message: string;
  text: AnswerText;
  /** The server's name for the answer, once it is known. */
  answer: string | undefined;
  sends: number;
  cancelling: boolean;
}

/** Takes one frame to the server. */
export type SendFrame = (frame: object) => void;

/** A message that meets this many cuts is given up: it may be what causes them. */
const MAX_SENDS = 6;

const encoder = new TextEncoder();

/** The messages that wait for the end of their answer, and what has come of each so far. */
export class PendingAnswers {
  readonly #emit: (event: ClientEvent) => void;
  readonly #byId = new Map<string, Pending>();
  /** Cancelled while there was no connection; the server may still work on them. */
  readonly #lateCancels = new Map<string, string>();

  constructor(emit: (event: ClientEvent) => void) {
    this.#emit = emit;
  }

  has(id: string): boolean {
    return this.#byId.has(id);
  }

  add(id: string, conversation: string, message: string): void {
    this.#byId.set(id, {
      id,
      conversation,
      message,
      text: new AnswerText(),
      answer: undefined,
      sends: 0,
      cancelling: false,
    });
  }

  /** Sends one message, or fails it where the server would refuse it. */
  transmit(id: string, send: SendFrame, limits: WireLimits | undefined): void {
    const pending = this.#byId.get(id);
    if (pending === undefined) return;
    const { conversation, message } = pending;
    const frame = { type: "message", message, id, conversation };
    if (limits !== undefined && exceeds(limits, message, frame)) {
      const most = limits.max_message_chars.toLocaleString("en");
      this.fail(id, "too_long", `This message is too long: the server takes up to ${most} characters.`);
      return;
    }
    if (++pending.sends > MAX_SENDS) {
      this.fail(id, "connection", "The connection broke each time this message was sent.", true);
      return;
    }
    send(frame);
    if (pending.cancelling) send({ type: "cancel", id, conversation });
  }

  /** On a fresh connection: cancels what was given up meanwhile, sends the rest again under the same ids. */
  transmitAll(send: SendFrame, limits: WireLimits | undefined): void {
    for (const [id, conversation] of this.#lateCancels) send({ type: "cancel", id, conversation });
    this.#lateCancels.clear();
    for (const id of [...this.#byId.keys()]) this.transmit(id, send, limits);
  }

  /** Asks the server to stop an answer; without a connection (`send` undefined) it is withdrawn on the spot. */
  cancel(id: string, send: SendFrame | undefined): void {
    const pending = this.#byId.get(id);
    if (pending === undefined) return;
    if (send === undefined) {
      if (pending.sends > 0) this.#lateCancels.set(id, pending.conversation);
      this.#withdraw(id);
      return;
    }
    pending.cancelling = true;
    send({ type: "cancel", id, conversation: pending.conversation });
  }

  /** Drops everything without a word to the server: the identity it belongs to is given up. */
  withdrawAll(): void {
    this.#lateCancels.clear();
    for (const id of [...this.#byId.keys()]) this.#withdraw(id);
  }

  failAll(code: FailureCode, message: string): void {
    for (const id of [...this.#byId.keys()]) this.fail(id, code, message);
  }

  fail(id: string, code: FailureCode, message: string, retryable = false, retryAfterMs?: number): void {
    if (!this.#byId.delete(id)) return;
    const delay = retryAfterMs === undefined ? {} : { retryAfterMs };
    this.#emit({ type: "failed", id, code, message, retryable, ...delay });
  }

  /** Takes a frame that belongs to an answer; frames of unknown answers and of later versions are skipped. */
  take(frame: ServerFrame): void {
    switch (frame.type) {
      case "token":
        this.#takeText(frame.id, frame.answer, frame.content, frame.from, frame.to);
        return;
      case "queued":
        if (this.has(frame.id)) this.#emit({ type: "queued", id: frame.id, frame });
        return;
      case "progress":
        if (this.has(frame.id)) this.#emit({ type: "progress", id: frame.id, frame });
        return;
      case "fallback":
        if (this.has(frame.id)) this.#emit({ type: "fallback", id: frame.id, frame });
        return;
      case "message":
        if (this.#byId.delete(frame.id)) this.#emit({ type: "answer", id: frame.id, frame });
        return;
      case "command_response":
        if (this.#byId.delete(frame.id)) this.#emit({ type: "result", id: frame.id, frame });
        return;
      case "error":
        this.#refused(frame);
        return;
      default:
        return;
    }
  }

  #takeText(id: string, answer: string, content: string, from: number, to: number): void {
    const pending = this.#byId.get(id);
    if (pending === undefined) return;
    // Another answer under the same id: the server forgot the first one and began again.
    const restart = pending.answer !== undefined && pending.answer !== answer;
    if (restart) pending.text = new AnswerText();
    pending.answer = answer;
    const fresh = pending.text.take(content, from, to) ?? "";
    if (restart || fresh !== "") this.#emit({ type: "text", id, fresh, restart });
  }

  #refused(frame: ErrorFrame): void {
    const pending = frame.id === undefined ? undefined : this.#byId.get(frame.id);
    if (pending === undefined) {
      // A cancel that came too late needs no words.
      if (frame.code !== "unknown_answer") this.#emit({ type: "notice", frame });
      return;
    }
    if (frame.code === "unknown_answer" && pending.cancelling) this.#withdraw(pending.id);
    // A server that stops closes with 1012 next; the message goes out again after that.
    else if (frame.code !== "draining") {
      this.fail(pending.id, frame.code, frame.message, frame.retryable, frame.retry_after_ms);
    }
  }

  #withdraw(id: string): void {
    if (this.#byId.delete(id)) this.#emit({ type: "withdrawn", id });
  }
}

/** Whether the server would refuse the message for its size; a frame over the limit even costs the connection. */
function exceeds(limits: WireLimits, message: string, frame: object): boolean {
  return (
    [...message].length > limits.max_message_chars ||
    encoder.encode(JSON.stringify(frame)).length > limits.max_frame_bytes
  );
}
