import { SpecialToken, type LlamaModel, type LlamaText, type Token } from "node-llama-cpp";

/** What ends an answer and is not part of it, besides the tokens with which every model ends its texts. */
export interface AnswerEnds {
  readonly tokens: ReadonlySet<number>;
  readonly texts: readonly string[];
}

const HAS_WORD = /[\p{L}\p{N}]/u;
const HAS_SYMBOL = /[^\p{L}\p{M}\p{N}_\s]/u;
/** White space from the first line break to the end. */
const FINAL_LINES = /[ \t]*[\r\n]\s*$/u;

/**
 * Turns what a template writes after an answer into ends of answers: its first special token, or the text before it if
 * that is more than white space.
 */
export function answerEnds(model: LlamaModel, ends: readonly LlamaText[]): AnswerEnds {
  const tokens = new Set<number>();
  const texts = new Set<string>();
  for (const end of ends) {
    const all = end.tokenize(model.tokenizer);
    const at = all.findIndex((token) => isVisibleSpecial(model, token));
    const special = all[at];
    const written = leadingText(model, end, at < 0 ? all : all.slice(0, at));
    const text = endText(written);
    if (text !== "") texts.add(text);
    else if (special !== undefined && written.trim() === "") tokens.add(special);
  }
  return { tokens, texts: [...texts] };
}

/**
 * The text that ends an answer: `\n### Human:`. Only words, or only symbols, end an answer where they are a line of
 * their own, because answers contain them too: `\nuser\n`. Empty if nothing in the text can end an answer.
 */
function endText(written: string): string {
  const text = written.trimEnd();
  if (HAS_WORD.test(text) && HAS_SYMBOL.test(text)) return text;
  return text !== "" && /^[\r\n]/u.test(text) && FINAL_LINES.test(written) ? `${text}\n` : "";
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
