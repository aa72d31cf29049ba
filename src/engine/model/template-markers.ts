import { LlamaText, type LlamaModel, type Token } from "node-llama-cpp";
import type { Turn } from "../../core/fit-prompt.ts";
import { promptOf, type PromptTemplate } from "./templates/prompt-template.ts";
import { isDistinct, markersOfTemplate } from "./role-markers.ts";

/** Stands for a token that a text of a user cannot produce. */
const UNFORGEABLE = "\0";

/** Text of a part of the template, with a zero character for each token that a user's text cannot produce. */
export type ForgeableText = (part: LlamaText) => string;

/** Content of the turns that are rendered. A word without capitals, which no template changes. */
const CONTENT = "zqcontentofaturnqz";
/** Longer lines are prose, such as a preamble; in UTF-16 units. */
const MAX_MARKER_CHARS = 100;
/** A pair of brackets and the text in them. */
const TAG = /(<<[^<>\s]+>>|<[^<>\s]+>|\[[^[\]\s]+\]|\{[^{}\s]+\})/u;

const user: Turn = { role: "user", content: CONTENT };
const assistant: Turn = { role: "assistant", content: CONTENT };
/** A conversation with first and later turns. */
const turns: readonly Turn[] = [user, assistant, user];

/**
 * Finds the role markers of a chat template by rendering it: everything that it writes around and between the turns of
 * a conversation, with and without a system message, for first and later turns.
 *
 * @returns the distinct markers, without the tokens that no text of a user can produce
 */
export function markersBetweenTurns(template: PromptTemplate, textOf: ForgeableText): string[] {
  const withSystem = partsAround(template, CONTENT);
  // Without a system message a template may begin with one of its own, which is prose.
  const [, ...withoutSystem] = partsAround(template, "");
  return [...new Set([...withSystem, ...withoutSystem].flatMap((part) => markersIn(textOf(part))))];
}

/** What the template writes before, between and after the contents. */
function partsAround(template: PromptTemplate, system: string): LlamaText[] {
  const parts: LlamaText["values"][number][][] = [[]];
  for (const value of template.render(promptOf(system, turns)).values) {
    const [first = "", ...others] = typeof value === "string" ? value.split(CONTENT) : [value];
    parts.at(-1)?.push(first);
    for (const other of others) parts.push([other]);
  }
  return parts.map((part) => LlamaText(part));
}

/** The markers in one part: tags such as `<|user|>` one by one, and the rest of each line. */
function markersIn(text: string): string[] {
  return text.split(/[\r\n]+/u).flatMap((line) => {
    const pieces = line.split(TAG).flatMap((piece) => piece.split(UNFORGEABLE));
    // A word beside a tag or a token, such as the "user" of `<|im_start|>user`, is no marker without it.
    return pieces
      .map((piece) => piece.trim())
      .filter((piece) => piece !== "" && piece.length <= MAX_MARKER_CHARS)
      .filter((piece) => isDistinct(piece) || piece === line.trim());
  });
}

/**
 * All role markers of a model that a text of a user can produce: those between the turns of its template, those that
 * its template's source seems to contain, and `more`.
 */
export function markersOfModel(
  model: LlamaModel,
  template: PromptTemplate,
  more: readonly string[],
): string[] {
  const source = model.fileInfo.metadata.tokenizer?.chat_template ?? "";
  const likely = [...more, ...markersOfTemplate(source)].filter((marker) => {
    const [token, ...others] = model.tokenize(marker, true, "trimLeadingSpace");
    return others.length > 0 || token === undefined || isForgeable(model, token);
  });
  const rendered = markersBetweenTurns(template, (part) =>
    forgeableText(model, part.tokenize(model.tokenizer)),
  );
  return [...new Set([...rendered, ...likely])];
}

function forgeableText(model: LlamaModel, tokens: readonly Token[]): string {
  const runs: Token[][] = [[]];
  for (const token of tokens) {
    if (isForgeable(model, token)) runs.at(-1)?.push(token);
    else runs.push([]);
  }
  return runs.map((run) => model.detokenize(run, true)).join(UNFORGEABLE);
}

/** Whether plain text can give this token. Most special tokens cannot result from text, but user-defined ones can. */
function isForgeable(model: LlamaModel, token: Token): boolean {
  if (!model.isSpecialToken(token)) return true;
  return model.tokenize(model.detokenize([token], true), false, "trimLeadingSpace").includes(token);
}
