/** A text that a model writes between two phases of its answer. It belongs to neither of them. */
export interface Marker {
  readonly text: string;
  readonly next: Phase;
}

/** A stretch of a model's output. */
export interface Phase {
  /**
   * `start`: white space, then a marker or the first text of `otherwise`. `reasoning`, `text`: up to the next marker, or
   * to the end.
   */
  readonly kind: "start" | "reasoning" | "text";
  readonly markers: readonly Marker[];
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
function block(open: string, close: string, others: readonly Marker[] = []): Marker {
  return { text: open, next: { kind: "reasoning", markers: [...endsWith(close, answerStart), ...others] } };
}

/**
 * Names of tags in angle brackets. `think`: DeepSeek, Qwen, GLM, Kimi, MiniMax and most others; `thought`: EXAONE and
 * Gemini's compatible endpoint; `seed:think`: Seed-OSS; `longcat_think`: LongCat; `mm:think`: MiniMax M3. The others are
 * written by models that were prompted or tuned to reason.
 */
const tagNames = ["think", "thinking", "thought", "reasoning", "seed:think", "longcat_think", "mm:think"];

function tag(name: string): Marker {
  const close = `</${name}>`;
  return block(`<${name}>`, close, [
    // Granite 3.3 and Hunyuan put the answer into a tag of its own.
    ...endsWith(`${close}<response>`, wrapped("</response>")),
    ...endsWith(`${close}\n<answer>\n`, wrapped("</answer>")),
  ]);
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
  block("<|START_THINKING|>", "<|END_THINKING|>", [
    ...endsWith("<|END_THINKING|><|START_RESPONSE|>", wrapped("<|END_RESPONSE|>")),
  ]),
  // OpenThinker, Sky-T1.
  block("<|begin_of_thought|>", "<|end_of_thought|>", [
    ...endsWith("<|end_of_thought|>\n\n<|begin_of_solution|>", wrapped("<|end_of_solution|>")),
    ...endsWith("<|end_of_thought|><|begin_of_solution|>", wrapped("<|end_of_solution|>")),
  ]),
  // Granite 3.2 announces both parts in prose.
  ...["Here is", "Here's"].map((here) =>
    block(
      `${here} my thought process:`,
      "Here is my response:",
      endsWith("Here's my response:", answerStart),
    ),
  ),
];

/** Harmony (gpt-oss): messages in channels, of which only `final` is the answer. */
function harmony(): readonly Marker[] {
  const markers: Marker[] = [];
  const ends = (next: Phase): Marker[] =>
    ["<|end|>", "<|return|>", "<|call|>"].map((text) => ({ text, next }));
  const start: Phase = { kind: "start", markers, otherwise: plainText };
  const reasoningMarkers: Marker[] = [];
  const reasoning: Phase = { kind: "reasoning", markers: reasoningMarkers };
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
 * @param promptEnd the end of the prompt, with special tokens: a template may open the reasoning itself
 */
export function phaseAfter(promptEnd: string): Phase {
  const end = promptEnd.trimEnd();
  const opened = openings.filter(({ text }) => end.endsWith(text));
  const [marker] = opened.toSorted((a, b) => b.text.length - a.text.length);
  // Some models write the marker again.
  return marker === undefined ? beginning : { kind: "start", markers: [marker], otherwise: marker.next };
}
