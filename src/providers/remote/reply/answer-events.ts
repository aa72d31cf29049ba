import { fieldsOf, type JsonFields } from "../../../core/json-fields.ts";

/**
 * Maximum characters of a line, of the data of one event, and of a whole document that are held. One event holds a few
 * hundred characters as a rule; a whole answer as one document fits as well.
 */
const MAX_HELD_CHARS = 1_048_576;

/** Called at most once in all, for a body that holds no answer, or ends in something else than its rest. */
export interface AnswerEventFaults {
  /** The server sent an error in place of the answer or of its rest; `body` is the error as it was sent. */
  onError(body: unknown): void;
  /** The body is another document, such as a web page. `text` is empty for an empty body. */
  onForeign(text: string): void;
  /** The body has a line, an event or a document longer than {@link MAX_HELD_CHARS}. */
  onTooLong(): void;
}

/**
 * The event after which both SDKs fail. It keeps its place behind the texts before it, while an error of the stream
 * itself would drop those that are not read yet.
 */
const FAILURE = 'data: {"error":"failed"}\n\n';

/**
 * Form of a body, decided by its first line and not by its content type: an event stream, one JSON document per line, or
 * a single document.
 */
type BodyForm = "events" | "lines" | "document";

const FIELD = /^(data|event|id|retry)\s*(:|$)|^:/;
/** Fields of an error in a chunk that has `choices` as well. */
const ERROR_FIELD = /"(error|base_resp)"/;
const ERROR_NAME = /error|exception|fail/i;
/** Names of events that hold an answer. Other events, such as the progress of a search, may hold texts of any kind. */
const ANSWER_NAME = /^(message|data|chunk|delta|completion)?$/i;
const HEARTBEAT = /^(ping|heart-?beat|keep-?alive|keepalive)$/i;
/** Beginning of a JSON object or list. `[PING]` is neither. */
const JSON_START = /^(\{|\[\s*(\{|\[|"|$))/;
const END_MARK = /^"?\[?done\]?"?$/i;

/** Fields that hold the text of an error in a chunk without an answer. */
const ERROR_TEXT_FIELDS = [
  ...["detail", "message", "msg", "errors", "error_msg", "error_message", "errorMessage"],
  ...["error_description", "Message", "fault"],
] as const;

function parsed(text: string): { readonly value: unknown } | null {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return null;
  }
}

function isEmpty(value: unknown): boolean {
  return value === undefined || value === null || value === false || value === "" || value === 0;
}

/** Whether a value is not empty. An object of empty members is: some servers send such an `error` in every chunk. */
function isFilled(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return !isEmpty(value);
  return Object.values(value).some((member) => !isEmpty(member));
}

function isErrorNumber(value: unknown): boolean {
  return /^[45]\d\d$/.test(typeof value === "number" || typeof value === "string" ? String(value) : "");
}

/** Whether a chunk is an error rather than a piece of an answer. `name` is the name of its event, often empty. */
function isError(chunk: JsonFields, name: string): boolean {
  if (isFilled(chunk["error"])) return true;
  const { choices, type, object, usage } = chunk;
  if (Array.isArray(choices) && choices.length > 0) return false;
  if (ERROR_NAME.test(name) || type === "error" || object === "error") return true;
  // MiniMax reports errors beside empty choices.
  if (isFilled(fieldsOf(chunk["base_resp"])["status_code"])) return true;
  if (Array.isArray(choices) || isFilled(usage)) return false;
  if (HEARTBEAT.test(name) || (typeof type === "string" && HEARTBEAT.test(type))) return false;
  if (["code", "status", "status_code"].some((field) => isErrorNumber(chunk[field]))) return true;
  if (!ANSWER_NAME.test(name)) return false;
  // An object in `message` is a text in another API, not an error, unless it holds the list of a validation.
  if (isFilled(fieldsOf(chunk["message"])["role"])) return false;
  return ERROR_TEXT_FIELDS.some((field) => isFilled(chunk[field]));
}

/**
 * Turns the body of a response into events that both SDKs can read: one line of JSON each, with a blank line after it.
 * Servers differ in what they send: a last event without its blank line, heartbeats with plain text, a whole JSON
 * document although a stream was requested, errors in many shapes.
 */
export class AnswerEvents {
  readonly #faults: AnswerEventFaults;
  #form: BodyForm | undefined;
  /** Text after the last line break. */
  #rest = "";
  #skipLineFeed = false;
  /** Lines of data of the event that is not complete, and their characters. */
  #data: string[] = [];
  #dataChars = 0;
  #name = "";
  /** Whether the data is JSON without the field name `data`. */
  #isBare = false;
  #document = "";
  #sawEvent = false;
  #ended = false;

  constructor(faults: AnswerEventFaults) {
    this.#faults = faults;
  }

  /** Adds text of the body. @returns the events that are complete, often "" */
  push(text: string): string {
    // What follows the end is not held, as it may be endless.
    if (this.#ended) return "";
    const added = this.#unified(text);
    const last = added.lastIndexOf("\n");
    if (last === -1) {
      this.#rest += added;
      return this.#checked(this.#rest.length);
    }
    const lines = (this.#rest + added.slice(0, last)).split("\n");
    this.#rest = added.slice(last + 1);
    let events = "";
    for (const line of lines) events += this.#line(line);
    return events + this.#checked(this.#rest.length);
  }

  /** Ends the body. @returns the events that were not complete */
  end(): string {
    if (this.#ended) return "";
    const events = this.#line(this.#rest) + (this.#form === "events" ? this.#dispatch() : "");
    if (this.#form === "document") return events + this.#wholeDocument();
    if (this.#sawEvent || this.#ended) return events;
    return events + this.#failed(() => this.#faults.onForeign(""));
  }

  /** Replaces all line ends by line feeds. A CRLF may be split over two calls. */
  #unified(text: string): string {
    const rest = this.#skipLineFeed && text.startsWith("\n") ? text.slice(1) : text;
    if (text !== "") this.#skipLineFeed = text.endsWith("\r");
    return rest.includes("\r") ? rest.replaceAll(/\r\n?/g, "\n") : rest;
  }

  #line(line: string): string {
    if (this.#ended) return "";
    if (this.#form === "events") return this.#eventLine(line);
    if (this.#form === "lines") return this.#event(line.trim(), "");
    return this.#firstLines(line);
  }

  /** Lines until the form is known, and all lines of a document. */
  #firstLines(line: string): string {
    const start = line.trim();
    if (this.#form === undefined && start === "") return "";
    if (this.#form === undefined && FIELD.test(start)) {
      this.#form = "events";
      return this.#eventLine(start);
    }
    if (this.#form === undefined) {
      this.#form = "document";
      if (start.startsWith("{") && Array.isArray(fieldsOf(parsed(start)?.value)["choices"])) {
        this.#form = "lines";
        return this.#event(start, "");
      }
    }
    this.#document += `${line}\n`;
    return this.#checked(this.#document.length);
  }

  #eventLine(line: string): string {
    if (line === "") return this.#dispatch();
    if (line.startsWith(":")) return "";
    // Servers that fail within a stream may write the bare error, on one line or several.
    if (JSON_START.test(line) || (this.#isBare && !FIELD.test(line))) {
      this.#isBare = true;
      return this.#addData(line);
    }
    const colon = line.indexOf(":");
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (field === "event") this.#name = value;
    return field === "data" ? this.#addData(value) : "";
  }

  #addData(value: string): string {
    const [only = ""] = this.#data;
    // Events without blank lines between them: the one line that is there is complete.
    const isNext =
      this.#data.length === 1 && only.endsWith("}") && (JSON_START.test(value) || END_MARK.test(value));
    const events = isNext && parsed(only) !== null ? this.#dispatch() : "";
    this.#data.push(value);
    this.#dataChars += value.length + 1;
    return events + this.#checked(this.#dataChars);
  }

  #dispatch(): string {
    const data = this.#data.join("\n").trim();
    const name = this.#name;
    this.#data = [];
    this.#dataChars = 0;
    this.#name = "";
    this.#isBare = false;
    return this.#event(data, name);
  }

  #event(data: string, name: string): string {
    if (data === "" || this.#ended) return "";
    this.#sawEvent = true;
    // Nearly all events. A quotation mark within a text is escaped, so that `"error"` is a key or a whole value.
    if (name === "" && data.startsWith("{") && data.includes('"choices"') && !ERROR_FIELD.test(data)) {
      return `data: ${data.includes("\n") ? data.replaceAll("\n", " ") : data}\n\n`;
    }
    if (END_MARK.test(data)) {
      this.#ended = true;
      return "data: [DONE]\n\n";
    }
    const json = parsed(data);
    if (json !== null) return this.#jsonEvent(json.value, name);
    // The SDK fails on JSON that was cut. Other text is a heartbeat, unless it is an error.
    if (JSON_START.test(data)) return `data: ${data.replaceAll("\n", " ")}\n\n`;
    const isFault = ERROR_NAME.test(name) || /^\W*(internal server )?(error|exception)\b/i.test(data);
    return isFault ? this.#failed(() => this.#faults.onError(data)) : "";
  }

  #jsonEvent(value: unknown, name: string): string {
    if (Array.isArray(value)) return value.map((one) => this.#jsonEvent(one, name)).join("");
    const chunk = fieldsOf(value);
    if (isError(chunk, name)) return this.#failed(() => this.#faults.onError(value));
    if (chunk["choices"] === undefined && chunk["usage"] === undefined) return "";
    // One SDK takes a field `error` for an error even if it is null.
    return `data: ${JSON.stringify({ ...chunk, error: undefined })}\n\n`;
  }

  #wholeDocument(): string {
    const text = this.#document.trim();
    const json = this.#ended ? null : parsed(text);
    // The SDK fails on JSON that was cut.
    if (json === null && JSON_START.test(text)) return `data: ${text.replaceAll("\n", " ")}\n\n`;
    const events = json === null ? "" : this.#jsonEvent(json.value, "");
    return events === "" ? this.#failed(() => this.#faults.onForeign(text)) : events;
  }

  /** Ends the answer with a failure, unless it has ended already. */
  #failed(report: () => void): string {
    if (this.#ended) return "";
    this.#ended = true;
    report();
    return FAILURE;
  }

  #checked(heldChars: number): string {
    return heldChars > MAX_HELD_CHARS ? this.#failed(() => this.#faults.onTooLong()) : "";
  }
}
