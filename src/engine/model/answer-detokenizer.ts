import type { LlamaModel, Token } from "node-llama-cpp";
import { openings } from "../../core/reasoning/reasoning-forms.ts";
import type { Detokenize } from "../generation/whole-characters.ts";

/** The parts of a model that turn text into tokens and back. */
export type Vocabulary = Pick<LlamaModel, "tokenize" | "detokenize">;

/**
 * Turns the tokens of an answer into text. Special tokens have no text, except those that mark reasoning: their text is
 * needed to separate it from the answer.
 */
export function answerDetokenizer(model: Vocabulary): Detokenize {
  const plain: Detokenize = (tokens, preceding) =>
    model.detokenize(tokens as Token[], false, preceding as Token[]);
  const markers = hiddenMarkers(model);
  if (markers.size === 0) return plain;
  return (tokens, preceding) => {
    if (!tokens.some((token) => markers.has(token))) return plain(tokens, preceding);
    let text = "";
    let from = 0;
    for (let at = 0; at <= tokens.length; at++) {
      const marker = at < tokens.length ? markers.get(tokens[at] as number) : "";
      if (marker === undefined) continue;
      if (from < at) text += plain(tokens.slice(from, at), from === 0 ? preceding : tokens.slice(0, from));
      text += marker;
      from = at + 1;
    }
    return text;
  };
}

/** Special tokens of the forms of reasoning that this model's vocabulary has, with their text. */
function hiddenMarkers(model: Vocabulary): ReadonlyMap<number, string> {
  const hidden = new Map<number, string>();
  for (const { text, next } of openings) {
    const opening = hiddenTokens(model, text);
    // Other models use some of these tokens for other purposes, for instance `<|end|>`.
    if (opening.length === 0) continue;
    for (const token of [...opening, ...next.markers.flatMap((marker) => hiddenTokens(model, marker.text))]) {
      hidden.set(token, model.detokenize([token], true));
    }
  }
  return hidden;
}

function hiddenTokens(model: Vocabulary, text: string): Token[] {
  return model
    .tokenize(text, true)
    .filter((token) => model.detokenize([token], false) === "" && model.detokenize([token], true) !== "");
}
