import { SpecialToken, type LlamaModel, type LlamaText, type Token } from "node-llama-cpp";

/** What ends an answer and is not part of it, besides the tokens with which every model ends its texts. */
export interface AnswerEnds {
  readonly tokens: ReadonlySet<number>;
  readonly texts: readonly string[];
}

/**
 * Turns what a template writes after an answer into ends of answers: its first special token, or the text before it if
 * that is more than white space.
 */
export function answerEnds(model: LlamaModel, written: readonly LlamaText[]): AnswerEnds {
  const tokens = new Set<number>();
  const texts = new Set<string>();
  for (const end of written) {
    const all = end.tokenize(model.tokenizer);
    const at = all.findIndex((token) => isVisibleSpecial(model, token));
    const special = all[at];
    const text = leadingText(model, end, at < 0 ? all : all.slice(0, at)).trimEnd();
    if (text !== "") texts.add(text);
    else if (special !== undefined) tokens.add(special);
  }
  return { tokens, texts: [...texts] };
}

/** In some vocabularies line breaks are special tokens. They do not end answers. */
function isVisibleSpecial(model: LlamaModel, token: Token): boolean {
  return model.isSpecialToken(token) && model.detokenize([token], true).trim() !== "";
}

/** Text of the first tokens of `end`, without the blank that some tokenizers put before a text. */
function leadingText(model: LlamaModel, end: LlamaText, tokens: readonly Token[]): string {
  const [first = ""] = end.values;
  const start = first instanceof SpecialToken ? "" : typeof first === "string" ? first : first.value;
  const text = model.detokenize(tokens, false);
  return text.startsWith(" ") && !start.startsWith(" ") ? text.slice(1) : text;
}
