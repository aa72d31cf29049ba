/** A text that a model writes between two phases of its answer. It belongs to neither of them. */
export interface Marker {
  readonly text: string;
  readonly next: Phase;
  /** Whether ordinary answers begin with this text too. It is a marker only if the end of its block follows. */
  readonly isProse?: boolean;
}

/** A stretch of a model's output. */
export interface Phase {
  /**
   * `start`: white space, then a marker or the first text of `otherwise`. `reasoning`, `text`: up to the next marker, or
   * to the end.
   */
  readonly kind: "start" | "reasoning" | "text";
  readonly markers: readonly Marker[];
  /** What a prompt writes after `reasoning` to end it and to begin the answer. */
  readonly closing?: string;
  /** The phase that follows a `start` without a marker. */
  readonly otherwise?: Phase;
}

/** The answer itself: no marker is looked for any more. */
export const plainText: Phase = { kind: "text", markers: [] };

/** After the reasoning: white space is dropped, and the answer begins. */
const answerStart: Phase = { kind: "start", markers: [], otherwise: plainText };

/** Markers for a text with and without a line break before it, so that the break is not part of the text before. */
function endsWith(text: string, next: Phase): Marker[] {
  return [
    { text: `\n${text}`, next },
    { text, next },
  ];
}

/** An answer that has an end marker of its own. */
function wrapped(end: string): Phase {
  return { kind: "text", markers: endsWith(end, answerStart) };
}

/** A block of reasoning between `open` and `close`; `others` end it too. */
function block(open: string, close: string, others: readonly Marker[] = [], closing = close): Marker {
  const markers = [...endsWith(close, answerStart), ...others];
  return { text: open, next: { kind: "reasoning", markers, closing } };
}

/**
 * Names of tags in angle brackets. `think`: DeepSeek, Qwen, GLM, Kimi, MiniMax and most others; `thought`: EXAONE and
 * Gemini's compatible endpoint; `seed:think`: Seed-OSS; `longcat_think`: LongCat; `mm:think`: MiniMax M3. The others are
 * written by models that were prompted or tuned to reason.
 */
const tagNames = ["think", "thinking", "thought", "reasoning", "seed:think", "longcat_think", "mm:think"];

function tag(name: string): Marker {
  const close = `</${name}>`;
  // Granite 3.3 and Hunyuan put the answer into a tag of its own.
  const others = [
    ...endsWith(`${close}<response>`, wrapped("</response>")),
    ...endsWith(`${close}\n<answer>\n`, wrapped("</answer>")),
  ];
  return block(`<${name}>`, close, others, `\n${close}\n\n`);
}

/** Blocks of special tokens and other texts. */
const blocks: readonly Marker[] = [
  ...tagNames.map(tag),
  // Magistral.
  block("[THINK]", "[/THINK]"),
  // Kimi-VL.
  block("◁think▷", "◁/think▷"),
  // Apertus.
  block("<|inner_prefix|>", "<|inner_suffix|>"),
  // Gemma 4, with the name of the channel; MedGemma.
  block("<|channel>thought", "<channel|>"),
  block("<unused94>thought", "<unused95>"),
  // openPangu.
  block("[unused16]", "[unused17]"),
  // Cohere Command.
  block(
    "<|START_THINKING|>",
    "<|END_THINKING|>",
    endsWith("<|END_THINKING|><|START_RESPONSE|>", wrapped("<|END_RESPONSE|>")),
    "<|END_THINKING|><|START_RESPONSE|>",
  ),
  // The same, without reasoning.
  { text: "<|START_RESPONSE|>", next: wrapped("<|END_RESPONSE|>") },
  // OpenThinker, Sky-T1.
  block("<|begin_of_thought|>", "<|end_of_thought|>", [
    ...endsWith("<|end_of_thought|>\n\n<|begin_of_solution|>", wrapped("<|end_of_solution|>")),
    ...endsWith("<|end_of_thought|><|begin_of_solution|>", wrapped("<|end_of_solution|>")),
  ]),
  // Granite 3.2 announces both parts in prose.
  ...["Here is", "Here's"].map((here) => ({
    ...block(
      `${here} my thought process:`,
      "Here is my response:",
      endsWith("Here's my response:", answerStart),
    ),
    isProse: true,
  })),
];

/** Harmony (gpt-oss): messages in channels, of which only `final` is the answer. */
function harmony(): readonly Marker[] {
  const markers: Marker[] = [];
  const ends = (next: Phase): Marker[] =>
    ["<|end|>", "<|return|>", "<|call|>"].map((text) => ({ text, next }));
  const start: Phase = { kind: "start", markers, otherwise: plainText };
  const reasoningMarkers: Marker[] = [];
  const closing = "<|end|><|start|>assistant<|channel|>final<|message|>";
  const reasoning: Phase = { kind: "reasoning", markers: reasoningMarkers, closing };
  const final: Phase = { kind: "text", markers: ends(start) };
  for (const header of ["<|start|>assistant<|channel|>", "<|channel|>"]) {
    for (const name of ["analysis", "commentary"]) {
      markers.push({ text: `${header}${name}<|message|>`, next: reasoning });
    }
    markers.push({ text: `${header}final<|message|>`, next: final });
  }
  // A server may have dropped the end of a message.
  reasoningMarkers.push(...ends(start), ...markers);
  return markers;
}

/** How an answer with reasoning may begin. */
export const openings: readonly Marker[] = [...blocks, ...harmony()];

/** The beginning of an answer. */
export const beginning: Phase = { kind: "start", markers: openings, otherwise: plainText };

/**
 * The first phase of an answer to a prompt.
 *
 * @param promptEnd what the template writes at the end of the prompt, with special tokens: it may open the reasoning
 */
export function phaseAfter(promptEnd: string): Phase {
  const marker = openedBy(promptEnd);
  // Some models write the marker again.
  return marker === null ? beginning : { kind: "start", markers: [marker], otherwise: marker.next };
}

/** What ends the reasoning that a prompt opens, so that the answer itself begins; empty if it opens none. */
export function closingAfter(promptEnd: string): string {
  return openedBy(promptEnd)?.next.closing ?? "";
}

/** The last opening in a text, of several that end there the longest, unless a marker ends its block again. */
function openedBy(text: string): Marker | null {
  const endOf = (marker: Marker): number => text.lastIndexOf(marker.text) + marker.text.length;
  const [last] = openings
    .filter((marker) => text.includes(marker.text))
    .toSorted((a, b) => endOf(b) - endOf(a) || b.text.length - a.text.length);
  if (last === undefined || last.next.markers.some((marker) => text.includes(marker.text, endOf(last))))
    return null;
  return last;
}
