import { beginning, phaseAfter, plainText, type Marker, type Phase } from "./reasoning-forms.ts";

/** New text of an answer: its reasoning comes before its text. Either may be empty. */
export interface Split {
  readonly reasoning: string;
  readonly text: string;
}

/**
 * Maximum white space before the first text that is held, in UTF-16 units. A model that writes more is not about to
 * write a marker.
 */
const MAX_LEADING_BLANKS = 64;

/** A position in a text, and the marker that begins there; null if a marker may begin there and is not complete. */
interface Hit {
  readonly at: number;
  readonly marker: Marker | null;
}

/**
 * Separates the reasoning of a model from its answer. Reasoning is recognised at the beginning of the output only, in the
 * forms of `reasoning-forms.ts`: a marker later in the answer is text. The result does not depend on how the output is
 * split into pieces. The markers are dropped, and so is white space next to them.
 */
export class ReasoningSplitter {
  #phase: Phase;
  /** Output that may be part of a marker. Shorter than the longest marker and {@link MAX_LEADING_BLANKS}. */
  #held = "";
  /** Whether no marker was found yet: leading white space then belongs to the text. */
  #markerless: boolean;
  /** Whether white space is dropped until other text follows. */
  #skipsBlanks = false;

  /** @param promptEnd what the template writes at the end of the prompt; it may open the reasoning */
  constructor(promptEnd = "") {
    this.#phase = promptEnd === "" ? beginning : phaseAfter(promptEnd);
    this.#markerless = this.#phase === beginning;
  }

  /** Whether everything that follows is text. {@link push} then returns it unchanged and need not be called. */
  get plain(): boolean {
    return this.#phase === plainText;
  }

  /** Whether the output so far ends within the reasoning, or the prompt has opened it. */
  get reasons(): boolean {
    return (this.#phase.otherwise ?? this.#phase).kind === "reasoning";
  }

  push(piece: string): Split {
    return this.#take(piece, false);
  }

  /** Ends the output. @returns what was still held */
  flush(): Split {
    return this.#take("", true);
  }

  #take(piece: string, last: boolean): Split {
    let output = this.#held + piece;
    let reasoning = "";
    let text = "";
    this.#held = "";
    while (output !== "") {
      if (this.#phase.kind === "start") {
        output = this.#afterStart(output, last);
        continue;
      }
      if (this.#skipsBlanks) {
        output = output.trimStart();
        this.#skipsBlanks = output === "";
        if (output === "") break;
      }
      const { kind, markers } = this.#phase;
      const { at, marker } = firstMarker(output, markers, last);
      if (kind === "reasoning") reasoning += output.slice(0, at);
      else text += output.slice(0, at);
      if (marker === null) {
        this.#held = output.slice(at);
        break;
      }
      this.#enter(marker);
      output = output.slice(at + marker.text.length);
    }
    return { reasoning, text };
  }

  /** Leaves a `start` as soon as it is clear what follows. @returns the rest of the output, if any is left to take */
  #afterStart(output: string, last: boolean): string {
    const body = output.trimStart();
    const tooBlank = this.#markerless && output.length - body.length > MAX_LEADING_BLANKS;
    const marker = tooBlank ? null : leadingMarker(body, this.#phase.markers, last);
    if (marker === "incomplete") {
      this.#held = this.#markerless ? output : body;
      return "";
    }
    if (marker !== null) {
      this.#enter(marker);
      return body.slice(marker.text.length);
    }
    this.#phase = this.#phase.otherwise ?? plainText;
    return this.#markerless ? output : body;
  }

  #enter(marker: Marker): void {
    this.#phase = marker.next;
    this.#markerless = false;
    this.#skipsBlanks = marker.next.kind !== "start";
  }
}

/** The longest marker at the beginning of `text`; `incomplete` if more text may complete one, unless it is the `last`. */
function leadingMarker(
  text: string,
  markers: readonly Marker[],
  last: boolean,
): Marker | "incomplete" | null {
  let longest: Marker | null = null;
  for (const marker of markers) {
    if (text.startsWith(marker.text)) {
      if (longest === null || marker.text.length > longest.text.length) longest = marker;
    } else if (!last && marker.text.startsWith(text)) {
      return "incomplete";
    }
  }
  return longest ?? (text === "" && !last ? "incomplete" : null);
}

/** The first marker in `text`, of several at one position the longest. Without one: where one may begin, or the end. */
function firstMarker(text: string, markers: readonly Marker[], last: boolean): Hit {
  let at = text.length;
  let found: Marker | null = null;
  for (const marker of markers) {
    const index = text.indexOf(marker.text);
    if (index < 0 || index > at) continue;
    if (index === at && found !== null && marker.text.length < found.text.length) continue;
    at = index;
    found = marker;
  }
  if (last) return { at, marker: found };
  const held = incompleteFrom(text, markers);
  return held <= at ? { at: held, marker: null } : { at, marker: found };
}

/** Start of the longest end of `text` that begins a marker without completing it; the length of `text` if none does. */
function incompleteFrom(text: string, markers: readonly Marker[]): number {
  let from = text.length;
  for (const marker of markers) {
    const first = marker.text.charCodeAt(0);
    for (let at = Math.max(0, text.length - marker.text.length + 1); at < from; at++) {
      if (text.charCodeAt(at) !== first || !marker.text.startsWith(text.slice(at))) continue;
      from = at;
      break;
    }
  }
  return from;
}
