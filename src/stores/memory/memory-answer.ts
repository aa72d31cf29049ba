import type {
  AnswerEvent,
  AnswerEventContent,
  AnswerMeta,
  AnswerOutcome,
  AnswerReader,
  AnswerStatus,
  AnswerWriter,
  ReasoningReader,
} from "../../chat/answer-log.ts";
import { classOf, type AccountClass } from "../../core/principal.ts";
import { TextLog } from "./text-log.ts";

/** Bytes of a value in the result of a command, besides its text. */
const VALUE_BYTES = 16;

/** How an answer accounts for its memory in the log. */
export interface AnswerHooks {
  /** Reserves `bytes` for more text; false when the budget has no space left. */
  grow(answer: MemoryAnswer, bytes: number): boolean;
  /** Called at the end of an answer with `held` bytes of text and reasoning. `bytes` is the size of its result, also counted now. */
  finished(answer: MemoryAnswer, bytes: number, held: number): void;
}

/** Never appended to. */
const noText = new TextLog();

/** One answer in the memory of this process. */
export class MemoryAnswer implements AnswerReader, AnswerWriter {
  readonly meta: AnswerMeta;
  /** Class of the account that is charged. */
  readonly kind: AccountClass;
  /** Memory of the message that it answers. */
  readonly messageBytes: number;
  readonly #maxBytes: number;
  readonly #hooks: AnswerHooks;
  #text = new TextLog();
  /** {@link noText} until the model reasons: most answers have no reasoning. */
  #reasoning = noText;
  #events: readonly AnswerEvent[] = [];
  #status: AnswerStatus | null = null;
  #outcome: AnswerOutcome | null = null;
  #evicted = false;
  #listeners: readonly (() => void)[] = [];

  constructor(init: { meta: AnswerMeta; messageBytes: number }, maxBytes: number, hooks: AnswerHooks) {
    this.meta = init.meta;
    this.kind = classOf(init.meta.accountKey);
    this.messageBytes = init.messageBytes;
    this.#maxBytes = maxBytes;
    this.#hooks = hooks;
  }

  get reader(): AnswerReader {
    return this;
  }

  get length(): number {
    return this.#text.length;
  }

  get reasoning(): ReasoningReader {
    return this.#reasoning;
  }

  get status(): AnswerStatus | null {
    return this.#status;
  }

  get events(): readonly AnswerEvent[] {
    return this.#events;
  }

  get outcome(): AnswerOutcome | null {
    return this.#outcome;
  }

  get evicted(): boolean {
    return this.#evicted;
  }

  /** Whether the answer has subscribers. */
  get watched(): boolean {
    return this.#listeners.length > 0;
  }

  append(text: string): boolean {
    if (this.#outcome !== null || text === "") return true;
    const bytes = Buffer.byteLength(text);
    if (!this.#reserve(bytes)) return false;
    this.#text.append(text, bytes);
    this.#status = null;
    this.#changed();
    return true;
  }

  appendReasoning(text: string): boolean {
    if (this.#outcome !== null || text === "") return true;
    const bytes = Buffer.byteLength(text);
    if (!this.#reserve(bytes)) return false;
    if (this.#reasoning === noText) this.#reasoning = new TextLog();
    this.#reasoning.append(text, bytes);
    this.#changed();
    return true;
  }

  addEvent(event: AnswerEventContent): void {
    if (this.#outcome !== null) return;
    this.#events = [...this.#events, { ...event, offset: this.length }];
    this.#changed();
  }

  setStatus(status: AnswerStatus | null): void {
    if (this.#outcome !== null) return;
    this.#status = status;
    this.#changed();
  }

  finish(outcome: AnswerOutcome): void {
    if (this.#outcome !== null) return;
    this.#outcome = outcome;
    this.#status = null;
    this.#text.seal();
    if (this.#reasoning !== noText) this.#reasoning.seal();
    // A result can be as large as a whole message and is retained as long as the text.
    const resultBytes = outcome.type === "command" ? bytesOf(outcome.result) : 0;
    this.#hooks.finished(this, resultBytes, this.#bytes);
    this.#changed();
  }

  /** Drops the text, whose bytes are no longer counted. Readers lose what they have not read yet. */
  evict(): void {
    this.#evicted = true;
    this.#text = new TextLog();
    this.#reasoning = noText;
    this.#changed();
  }

  read(from: number, to?: number): string {
    return this.#text.read(from, to);
  }

  boundary(offset: number): number {
    return this.#text.boundary(offset);
  }

  subscribe(listener: () => void): () => void {
    this.#listeners = [...this.#listeners, listener];
    return () => {
      this.#listeners = this.#listeners.filter((it) => it !== listener);
    };
  }

  /** Bytes of text and reasoning. */
  get #bytes(): number {
    return this.#text.length + this.#reasoning.length;
  }

  #reserve(bytes: number): boolean {
    return this.#bytes + bytes <= this.#maxBytes && this.#hooks.grow(this, bytes);
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}

/** Bytes of a value of JSON, about; encoding it would cost more than sending it. */
function bytesOf(value: unknown): number {
  if (typeof value === "string") return Buffer.byteLength(value) + VALUE_BYTES;
  if (typeof value !== "object" || value === null) return VALUE_BYTES;
  return Object.values(value).reduce((sum: number, each) => sum + bytesOf(each), VALUE_BYTES);
}
