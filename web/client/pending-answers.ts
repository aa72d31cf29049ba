import type { ResumedAnswer } from "../../src/protocol/client-frames.ts";
import type {
  ErrorFrame,
  ReasoningFrame,
  ServerFrame,
  TokenFrame,
  WireLimits,
} from "../../src/protocol/server-frames.ts";
import { AnswerText } from "./answer-text.ts";
import type { ClientEvent, FailureCode } from "./client-events.ts";
import { cancelFrame, newPending, type PartialAnswer, type Pending } from "./pending-answer.ts";

/** Sends one frame to the server. */
export type SendFrame = (frame: object) => void;

/** Receives the events of {@link PendingAnswers}. */
export interface AnswerListener {
  emit(event: ClientEvent): void;
  /** New text of any answer was received. */
  textReceived(): void;
  /** Text of `answer` up to the offset `to` was emitted. */
  shown(answer: string, to: number): void;
  /** `answer` has ended. */
  finished(answer: string): void;
}

/**
 * Maximum number of times a message is sent or resumed without any new text. Then it fails, because the message itself
 * may break the connection.
 */
const MAX_TRIES = 6;

/**
 * Maximum number of answers in one `resume`, as set by the protocol. Other messages are sent again, and the server
 * attaches them to their running answers.
 */
const MAX_RESUMED_ANSWERS = 32;

const encoder = new TextEncoder();

/** The messages whose answers have not ended yet, with the text received so far. */
export class PendingAnswers {
  readonly #listener: AnswerListener;
  readonly #byId = new Map<string, Pending>();
  /** Cancel frames by message id that could not be sent without a connection. The answers may still be running. */
  readonly #deferredCancels = new Map<string, object>();

  constructor(listener: AnswerListener) {
    this.#listener = listener;
  }

  has(id: string): boolean {
    return this.#byId.has(id);
  }

  add(id: string, conversation: string, message: string | undefined, partial?: PartialAnswer): void {
    this.#byId.set(id, newPending(id, conversation, message, partial));
  }

  /** Returns the answers for a `resume` frame, each with the offsets of its first missing bytes. */
  resumable(): readonly ResumedAnswer[] {
    const answers: ResumedAnswer[] = [];
    for (const pending of this.#byId.values()) {
      const { answer, text, reasoning } = pending;
      pending.resumed = answer !== undefined && answers.length < MAX_RESUMED_ANSWERS;
      if (answer === undefined || !pending.resumed) continue;
      pending.tries++;
      answers.push({
        answer,
        from: text.end,
        ...(reasoning.end > 0 && { reasoning_from: reasoning.end }),
      });
    }
    return answers;
  }

  /** Marks all answers as not resumed, because the session is a new one. */
  clearResumed(): void {
    for (const pending of this.#byId.values()) pending.resumed = false;
  }

  /** Sends one message, or fails it if it exceeds `limits`. */
  transmit(id: string, send: SendFrame, limits: WireLimits | undefined): void {
    const pending = this.#byId.get(id);
    if (pending !== undefined) this.#transmit(pending, send, limits);
  }

  /** Sends deferred cancels, and all messages that were not resumed, with their original ids. */
  transmitAll(send: SendFrame, limits: WireLimits | undefined): void {
    for (const frame of this.#deferredCancels.values()) send(frame);
    this.#deferredCancels.clear();
    for (const pending of [...this.#byId.values()]) this.#transmit(pending, send, limits);
  }

  /** Sends a cancel for an answer. Without a connection (`send` is undefined) the message is withdrawn at once. */
  cancel(id: string, send: SendFrame | undefined): void {
    const pending = this.#byId.get(id);
    if (pending === undefined) return;
    if (send === undefined) {
      if (pending.tries > 0 || pending.answer !== undefined)
        this.#deferredCancels.set(id, cancelFrame(pending));
      this.#withdraw(pending);
      return;
    }
    pending.cancelling = true;
    send(cancelFrame(pending));
  }

  /** Removes a message without an event. */
  remove(id: string): void {
    this.#byId.delete(id);
  }

  /** Withdraws all messages and sends nothing to the server. */
  withdrawAll(): void {
    this.#deferredCancels.clear();
    for (const pending of [...this.#byId.values()]) this.#withdraw(pending);
  }

  failAll(code: FailureCode, message: string): void {
    for (const pending of [...this.#byId.values()]) this.#fail(pending, code, message);
  }

  /**
   * Handles a frame that belongs to an answer. Ignores frames of unknown answers and unknown types. Returns the id of a
   * message that must be sent again, because the server no longer has its answer.
   */
  take(frame: ServerFrame): string | undefined {
    if (frame.type === "error") return this.#onError(frame);
    if (!("id" in frame)) return undefined;
    const pending = this.#byId.get(frame.id) ?? this.#byAnswer(frame.answer);
    if (pending === undefined) return undefined;
    const { id } = pending;
    switch (frame.type) {
      case "token":
      case "reasoning":
        this.#takeText(pending, frame);
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
      case "system":
        this.#listener.emit({ type: "history_cut", id, frame });
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

  /** Returns whether a frame ends an answer as cancelled although this page sent the message and did not cancel it. */
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
      const frame = { type: "message", message, id, conversation, reasoning: true };
      if (limits !== undefined && exceeds(limits, message, frame)) {
        const limit = limits.max_message_chars.toLocaleString("en");
        this.#fail(pending, "too_long", `This message is too long. The limit is ${limit} characters.`);
        return;
      }
      pending.tries++;
      if (pending.tries <= MAX_TRIES) send(frame);
    }
    if (pending.tries > MAX_TRIES) {
      this.#fail(
        pending,
        "connection",
        "The connection was lost each time this message was sent. Please try again.",
        true,
      );
    } else if (pending.cancelling) {
      send(cancelFrame(pending));
    }
  }

  #takeText(pending: Pending, { type, answer, content, from, to }: TokenFrame | ReasoningFrame): void {
    // The server no longer had the first answer and has started a new one for the same message.
    const restart = pending.answer !== undefined && pending.answer !== answer;
    if (restart) {
      pending.text = new AnswerText();
      pending.reasoning = new AnswerText();
    }
    pending.answer = answer;
    const isText = type === "token";
    const delta = (isText ? pending.text : pending.reasoning).take(content, from, to) ?? "";
    if (delta !== "") {
      pending.tries = 0;
      this.#listener.textReceived();
    }
    if (restart || delta !== "") {
      this.#listener.emit({ type: isText ? "text" : "reasoning", id: pending.id, answer, delta, restart });
    }
    if (isText) this.#listener.shown(answer, pending.text.end);
  }

  #onError(frame: ErrorFrame): string | undefined {
    const { id, answer } = frame;
    const pending =
      (id === undefined ? undefined : this.#byId.get(id)) ??
      (answer === undefined ? undefined : this.#byAnswer(answer));
    if (pending === undefined) {
      // `unknown_answer` is the reply to a cancel that arrived after the answer had ended.
      if (frame.code !== "unknown_answer") this.#listener.emit({ type: "notice", frame });
    } else if (frame.code === "resume_expired") {
      return this.#onExpired(pending);
    } else if (frame.code === "unknown_answer" && pending.cancelling) {
      this.#withdraw(pending);
    } else if (frame.code !== "draining") {
      // After `draining` the server closes with 1012. The message stays pending and is sent again then.
      this.#fail(pending, frame.code, frame.message, frame.retryable, frame.retry_after_ms);
    }
    return undefined;
  }

  /** Handles an answer that the server no longer has. Returns the id of the message if it can be sent again. */
  #onExpired(pending: Pending): string | undefined {
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

/** Returns whether a message exceeds the limits of the server. An oversized frame would close the connection. */
function exceeds(limits: WireLimits, message: string, frame: object): boolean {
  return (
    [...message].length > limits.max_message_chars ||
    encoder.encode(JSON.stringify(frame)).length > limits.max_frame_bytes
  );
}
