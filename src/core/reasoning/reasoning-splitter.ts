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

/** The patterns of lists of markers. */
const patterns = new WeakMap<readonly Marker[], RegExp>();

/** A position in a text, and the marker that begins there; null if a marker may begin there and is not complete. */
interface Hit {
  readonly at: number;
  readonly marker: Marker | null;
}

/**
 * Separates the reasoning of a model from its answer. Reasoning is recognised at the beginning of the output only, in the
 * forms of `reasoning-forms.ts`: a marker later in the answer is text. The result does not depend on how the output is
 * split into pieces. The markers are dropped, and so are white space after them and a line break before them.
 * A block that is announced in prose and has no end is returned twice: as reasoning, and at the end as the answer.
 */
export class ReasoningSplitter {
  #phase: Phase;
  /** Output that may be part of a marker. Shorter than the longest marker and {@link MAX_LEADING_BLANKS}. */
  #held = "";
  /** Whether no marker was found yet: leading white space then belongs to the text. */
  #markerless: boolean;
  /** Whether white space is dropped until other text follows. */
  #skipsBlanks = false;
  /** All output since the beginning, while the end of a block that is announced in prose is missing. Else null. */
  #prose: string | null = null;
  #repeats = false;

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

  /** Whether {@link flush} returned reasoning again, as the answer. */
  get repeats(): boolean {
    return this.#repeats;
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
    if (this.#prose !== null) this.#prose += piece;
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
    // Without its end the block was none, and all of it is the answer.
    if (last && this.#prose !== null) {
      text = this.#prose;
      this.#repeats = true;
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
      const announced = this.#markerless && marker.isProse === true;
      this.#enter(marker);
      if (announced) this.#prose = output;
      return body.slice(marker.text.length);
    }
    this.#phase = this.#phase.otherwise ?? plainText;
    return this.#markerless ? output : body;
  }

  #enter(marker: Marker): void {
    this.#phase = marker.next;
    this.#markerless = false;
    this.#prose = null;
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
  const match = markers.length === 0 ? null : patternOf(markers).exec(text);
  const at = match?.index ?? text.length;
  const marker = markers.find((each) => each.text === match?.[0]) ?? null;
  if (last) return { at, marker };
  const held = incompleteFrom(text, markers);
  return held <= at ? { at: held, marker: null } : { at, marker };
}

/**
 * Matches the first marker. One pattern for all, because it stops at the first one: a search for each marker would read
 * a text of many markers to its end for each of them.
 */
function patternOf(markers: readonly Marker[]): RegExp {
  let pattern = patterns.get(markers);
  if (pattern === undefined) {
    const longestFirst = markers.map(({ text }) => text).toSorted((a, b) => b.length - a.length);
    const sources = longestFirst.map((text) => text.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`));
    pattern = new RegExp(sources.join("|"));
    patterns.set(markers, pattern);
  }
  return pattern;
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
