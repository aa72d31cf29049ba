import type { ErrorFrame, ServerFrame, WireLimits } from "../../src/protocol/server-frames.ts";
import { AnswerText } from "./answer-text.ts";
import type { ClientEvent, FailureCode } from "./client-events.ts";

/** What a page knows of a message from before it was loaded anew. */
export interface Earlier {
  /** The server's name for the answer, where it was told. */
  readonly answer?: string;
  /** The text of the answer so far. */
  readonly text: string;
}

interface Pending {
  readonly id: string;
  readonly conversation: string;
  /** Undefined where only the answer is known: another page sent the message. */
  readonly message: string | undefined;
  text: AnswerText;
  /** The server's name for the answer, once it is known. */
  answer: string | undefined;
  /** How often it was sent or resumed since it last grew. */
  tries: number;
  cancelling: boolean;
  /** The present socket resumed it, so that it need not be sent again. */
  resumed: boolean;
}

/** Takes one frame to the server. */
export type SendFrame = (frame: object) => void;

/** Whom the answers tell what. */
export interface AnswerListener {
  emit(event: ClientEvent): void;
  /** New text of some answer has come. */
  grew(): void;
  /** `answer` was told to the page up to the offset `to`. */
  shown(answer: string, to: number): void;
  finished(answer: string): void;
}

/** A message that meets this many cuts without a new byte is given up: it may be what causes them. */
const MAX_TRIES = 6;

/** As many as the server takes in one `resume`; the others are sent again and joined. */
const MAX_RESUMED_ANSWERS = 32;

const encoder = new TextEncoder();

/** The messages that wait for the end of their answer, and what has come of each so far. */
export class PendingAnswers {
  readonly #listener: AnswerListener;
  readonly #byId = new Map<string, Pending>();
  /** Cancelled while there was no connection; the server may still work on them. */
  readonly #lateCancels = new Map<string, object>();

  constructor(listener: AnswerListener) {
    this.#listener = listener;
  }

  has(id: string): boolean {
    return this.#byId.has(id);
  }

  add(id: string, conversation: string, message: string | undefined, earlier?: Earlier): void {
    this.#byId.set(id, {
      id,
      conversation,
      message,
      text: new AnswerText(earlier?.text),
      answer: earlier?.answer,
      tries: 0,
      cancelling: false,
      resumed: false,
    });
  }

  /** What a `resume` asks to go on with, each from the first byte that is missing. */
  resumable(): { readonly answer: string; readonly from: number }[] {
    const answers: { answer: string; from: number }[] = [];
    for (const pending of this.#byId.values()) {
      const { answer, text } = pending;
      pending.resumed = answer !== undefined && answers.length < MAX_RESUMED_ANSWERS;
      if (answer === undefined || !pending.resumed) continue;
      pending.tries++;
      answers.push({ answer, from: text.end });
    }
    return answers;
  }

  /** The session is another one: nothing was resumed. */
  nothingResumed(): void {
    for (const pending of this.#byId.values()) pending.resumed = false;
  }

  /** Sends one message, or fails it where the server would refuse it. */
  transmit(id: string, send: SendFrame, limits: WireLimits | undefined): void {
    const pending = this.#byId.get(id);
    if (pending !== undefined) this.#transmit(pending, send, limits);
  }

  /** On a fresh connection: cancels what was given up meanwhile, sends again what was not resumed, under the same ids. */
  transmitAll(send: SendFrame, limits: WireLimits | undefined): void {
    for (const frame of this.#lateCancels.values()) send(frame);
    this.#lateCancels.clear();
    for (const pending of [...this.#byId.values()]) this.#transmit(pending, send, limits);
  }

  /** Asks the server to stop an answer; without a connection (`send` undefined) it is withdrawn on the spot. */
  cancel(id: string, send: SendFrame | undefined): void {
    const pending = this.#byId.get(id);
    if (pending === undefined) return;
    if (send === undefined) {
      if (pending.tries > 0 || pending.answer !== undefined) this.#lateCancels.set(id, cancelFrame(pending));
      this.#withdraw(pending);
      return;
    }
    pending.cancelling = true;
    send(cancelFrame(pending));
  }

  /** Forgets a message whose answer was learned in another way; nothing is told. */
  settle(id: string): void {
    this.#byId.delete(id);
  }

  /** Drops everything without a word to the server: the identity it belongs to is given up. */
  withdrawAll(): void {
    this.#lateCancels.clear();
    for (const pending of [...this.#byId.values()]) this.#withdraw(pending);
  }

  failAll(code: FailureCode, message: string): void {
    for (const pending of [...this.#byId.values()]) this.#fail(pending, code, message);
  }

  /**
   * Takes a frame that belongs to an answer; frames of unknown answers and of later versions are skipped. Returns the id
   * of a message that has to be sent again, since its answer is gone from the server.
   */
  take(frame: ServerFrame): string | undefined {
    if (frame.type === "error") return this.#refused(frame);
    if (!("id" in frame)) return undefined;
    const pending = this.#byId.get(frame.id) ?? this.#byAnswer(frame.answer);
    if (pending === undefined) return undefined;
    const { id } = pending;
    switch (frame.type) {
      case "token":
        this.#takeText(pending, frame.answer, frame.content, frame.from, frame.to);
        break;
      case "queued":
        this.#listener.emit({ type: "queued", id, frame });
        break;
      case "progress":
        this.#listener.emit({ type: "progress", id, frame });
        break;
      case "fallback":
        this.#listener.emit({ type: "fallback", id, frame });
        break;
      case "message":
        this.#end(pending);
        this.#listener.emit({ type: "answer", id, frame });
        break;
      case "command_response":
        this.#end(pending);
        this.#listener.emit({ type: "result", id, frame });
        break;
      default:
    }
    return undefined;
  }

  /** Whether a frame ends an answer as cancelled though nobody here has cancelled it, and its message is known. */
  isCutShort(frame: ServerFrame): boolean {
    if (frame.type !== "message" && frame.type !== "command_response") return false;
    const pending = this.#byId.get(frame.id);
    return frame.finish_reason === "cancelled" && pending?.message !== undefined && !pending.cancelling;
  }

  #byAnswer(answer: string): Pending | undefined {
    for (const pending of this.#byId.values()) if (pending.answer === answer) return pending;
    return undefined;
  }

  #transmit(pending: Pending, send: SendFrame, limits: WireLimits | undefined): void {
    const { id, conversation, message } = pending;
    if (message !== undefined && !pending.resumed) {
      const frame = { type: "message", message, id, conversation };
      if (limits !== undefined && exceeds(limits, message, frame)) {
        const most = limits.max_message_chars.toLocaleString("en");
        this.#fail(
          pending,
          "too_long",
          `This message is too long: the server takes up to ${most} characters.`,
        );
        return;
      }
      pending.tries++;
      if (pending.tries <= MAX_TRIES) send(frame);
    }
    if (pending.tries > MAX_TRIES) {
      this.#fail(pending, "connection", "The connection broke each time this message was sent.", true);
    } else if (pending.cancelling) {
      send(cancelFrame(pending));
    }
  }

  #takeText(pending: Pending, answer: string, content: string, from: number, to: number): void {
    // Another answer under the same id: the server forgot the first one and began again.
    const restart = pending.answer !== undefined && pending.answer !== answer;
    if (restart) pending.text = new AnswerText();
    pending.answer = answer;
    const fresh = pending.text.take(content, from, to) ?? "";
    if (fresh !== "") {
      pending.tries = 0;
      this.#listener.grew();
    }
    if (restart || fresh !== "")
      this.#listener.emit({ type: "text", id: pending.id, answer, fresh, restart });
    this.#listener.shown(answer, pending.text.end);
  }

  #refused(frame: ErrorFrame): string | undefined {
    const { id, answer } = frame;
    const pending =
      (id === undefined ? undefined : this.#byId.get(id)) ??
      (answer === undefined ? undefined : this.#byAnswer(answer));
    if (pending === undefined) {
      // A cancel that came too late needs no words.
      if (frame.code !== "unknown_answer") this.#listener.emit({ type: "notice", frame });
    } else if (frame.code === "resume_expired") {
      return this.#expired(pending);
    } else if (frame.code === "unknown_answer" && pending.cancelling) {
      this.#withdraw(pending);
    } else if (frame.code !== "draining") {
      // A server that stops closes with 1012 next; the message goes out again after that.
      this.#fail(pending, frame.code, frame.message, frame.retryable, frame.retry_after_ms);
    }
    return undefined;
  }

  /** The server keeps the answer no longer: the message makes a new one, where it is known. */
  #expired(pending: Pending): string | undefined {
    if (pending.message === undefined) {
      this.#withdraw(pending);
      return undefined;
    }
    pending.resumed = false;
    return pending.id;
  }

  #fail(
    pending: Pending,
    code: FailureCode,
    message: string,
    retryable = false,
    retryAfterMs?: number,
  ): void {
    this.#end(pending);
    const delay = retryAfterMs === undefined ? {} : { retryAfterMs };
    this.#listener.emit({ type: "failed", id: pending.id, code, message, retryable, ...delay });
  }

  #withdraw(pending: Pending): void {
    this.#end(pending);
    this.#listener.emit({ type: "withdrawn", id: pending.id });
  }

  #end({ id, answer }: Pending): void {
    this.#byId.delete(id);
    if (answer !== undefined) this.#listener.finished(answer);
  }
}

/** By the name that the server is sure to know. */
function cancelFrame({ id, conversation, message, answer }: Pending): object {
  return message === undefined ? { type: "cancel", answer } : { type: "cancel", id, conversation };
}

/** Whether the server would refuse the message for its size; a frame over the limit even costs the connection. */
function exceeds(limits: WireLimits, message: string, frame: object): boolean {
  return (
    [...message].length > limits.max_message_chars ||
    encoder.encode(JSON.stringify(frame)).length > limits.max_frame_bytes
  );
}
