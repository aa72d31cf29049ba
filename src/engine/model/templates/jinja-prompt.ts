import { LlamaText, SpecialToken, SpecialTokensText } from "node-llama-cpp";
import { closingAfter } from "../../../core/reasoning/reasoning-forms.ts";
import { fitTurns } from "./fit-turns.ts";
import type { PromptParts, PromptTemplate } from "./prompt-template.ts";
import {
  probeTemplate,
  type RenderOptions,
  type TemplateMessage,
  type TemplateShape,
} from "./template-shape.ts";

/** Compiles a Jinja template. @throws Error when its syntax is wrong. */
export type CompileJinja = (source: string) => { render(variables: Record<string, unknown>): string };

export interface JinjaPromptOptions {
  readonly name: string;
  /** Jinja source. */
  readonly source: string;
  readonly compile: CompileJinja;
  /** Variables of the template besides the messages and the special tokens. Called for each prompt. */
  variables(): Readonly<Record<string, unknown>>;
  /**
   * Whether the tokenizer joins the blank before a word to the word's token, and begins texts with such a token. The
   * first token of an answer then has a blank.
   */
  readonly blankInFirstToken: boolean;
}

/** Precedes the name of a channel in templates that give an answer several parts. */
const CHANNEL = "<|channel|>";

/** Turns that are rendered of a longer conversation, whose rounds are written alike: a user's, an answer, a user's. */
const RENDERED_TURNS = 3;

type Value = LlamaText["values"][number];
type Turns = readonly ("user" | "assistant")[];

/** Variables of special tokens, by the letter in their placeholders. */
const tokenVariables = { b: "BOS", e: "EOS", t: "EOT" } as const;

/**
 * Prompts by a Jinja template, such as the chat template of a model file. What the template takes is found once, by
 * rendering samples. Texts of turns never pass through the template: it renders placeholders, so a text can neither
 * change what the template does nor become one of its special tokens.
 */
export class JinjaPrompt implements PromptTemplate {
  readonly name: string;
  readonly shape: TemplateShape;
  readonly ends: readonly LlamaText[];
  readonly promptEnd: string;
  readonly #options: JinjaPromptOptions;
  readonly #compiled: ReturnType<CompileJinja>;
  /** Begins each placeholder; occurs nowhere in the source. */
  readonly #mark: string;
  /** Splits a text at its placeholders; captures what they stand for. */
  readonly #places: RegExp;
  /** Whether the text of a long conversation is that of its first turns, repeated. */
  readonly #repeatsRounds: boolean;
  /** Beginning of an answer, for templates that write it only together with an answer. */
  readonly #header: string;
  /** Stands between the beginning of an answer and its text: a blank, or nothing. */
  readonly #blank: string = "";
  /** Ends the reasoning that the template opens; empty if it opens none. */
  readonly #closing: string;

  /** @throws Error that says why the template cannot be used */
  constructor(options: JinjaPromptOptions) {
    this.#options = options;
    this.name = options.name;
    this.#mark = unusedWord(options.source);
    this.#places = new RegExp(`${this.#mark}(\\d+|[bet])z`, "u");
    this.#compiled = options.compile(options.source);
    this.shape = probeTemplate(this.#write, this.#place);
    this.#repeatsRounds = this.shape.history && this.#writesRoundsAlike();
    const bare = this.#sample(["user"], true);
    const rest = this.#restOfHeader(bare);
    this.#header = rest.trimEnd() === "" ? "" : rest.replace(/ $/u, "");
    const begun = bare + this.#header;
    const joins = options.blankInFirstToken && /\S$/u.test(begun);
    if (joins || rest.endsWith(" ")) this.#blank = " ";
    this.promptEnd = begun.split(this.#place(0)).at(-1) ?? "";
    this.#closing = closingAfter(this.promptEnd);
    this.ends = this.#answerEnds();
  }

  render({ system, turns, answerStart, skipReasoning }: PromptParts): LlamaText {
    const messages = fitTurns(this.shape, system, turns);
    const values = this.#valuesOf(this.#textFor(messages) + this.#header, messages);
    const closes = this.#closing !== "" && (skipReasoning || answerStart !== "");
    if (closes) values.push(new SpecialTokensText(this.#closing));
    if (answerStart !== "") values.push(closes ? answerStart : this.#afterBlank(answerStart));
    return LlamaText(values);
  }

  #afterBlank(text: string): string {
    return text.startsWith(" ") ? text : this.#blank + text;
  }

  readonly #place = (name: number | string): string => `${this.#mark}${name}z`;

  readonly #write = (messages: readonly TemplateMessage[], { inParts, begin }: RenderOptions): string =>
    this.#compiled.render({
      ...this.#options.variables(),
      bos_token: this.#place("b"),
      eos_token: this.#place("e"),
      eot_token: this.#place("t"),
      messages: messages.map(({ role, content }) => ({
        role,
        content: inParts ? [{ type: "text", text: content }] : content,
      })),
      add_generation_prompt: begin,
    });

  /** A conversation with placeholders for its contents. */
  #textFor(messages: readonly TemplateMessage[]): string {
    return this.#repeatsRounds ? this.#repeated(messages) : this.#textOf(messages);
  }

  #textOf(messages: readonly TemplateMessage[]): string {
    const placed = messages.map(({ role }, index) => ({ role, content: this.#place(index) }));
    return this.#write(placed, { inParts: this.shape.inParts, begin: true });
  }

  /**
   * The same text from a rendering of the first turns alone: rendering takes longer with each turn, and all answers stop
   * meanwhile.
   */
  #repeated(messages: readonly TemplateMessage[]): string {
    const first = messages[0]?.role === "system" ? 1 : 0;
    const end = first + RENDERED_TURNS;
    if (messages.length <= end) return this.#textOf(messages);
    const text = this.#textOf(messages.slice(0, end));
    const [user, answer, next] = [first, first + 1, first + 2].map(this.#place) as [string, string, string];
    const beforeAnswer = text.slice(text.indexOf(user) + user.length, text.indexOf(answer));
    const beforeUser = text.slice(text.indexOf(answer) + answer.length, text.indexOf(next));
    const after = text.indexOf(next) + next.length;
    let written = text.slice(0, after);
    for (let index = end; index < messages.length; index += 2)
      written += beforeAnswer + this.#place(index) + beforeUser + this.#place(index + 1);
    return written + text.slice(after);
  }

  /** Whether the template writes the rounds of longer conversations like the first one. */
  #writesRoundsAlike(): boolean {
    const roles: Turns = ["user", "assistant", "user", "assistant", "user", "assistant", "user"];
    const turns = roles.map((role) => ({ role, content: "x" }));
    try {
      return ["", "x"].every((system) => {
        const messages = fitTurns(this.shape, system, turns);
        return this.#textOf(messages) === this.#repeated(messages);
      });
    } catch {
      return false;
    }
  }

  /** A conversation of these roles, with placeholders for the contents. */
  #sample(roles: Turns, begin: boolean): string {
    const turns = roles.map((role, index) => ({ role, content: this.#place(index) }));
    return this.#write(fitTurns(this.shape, "", turns), { inParts: this.shape.inParts, begin });
  }

  /** The same, or an empty text when the template refuses it. */
  #trySample(roles: Turns, begin: boolean): string {
    try {
      return this.#sample(roles, begin);
    } catch {
      return "";
    }
  }

  /**
   * What the template writes before an answer in the history, but not at the end of a prompt: a blank, the whole header
   * of an answer if the template does not know `add_generation_prompt`, or the name of the channel for answers. Other
   * text, such as an empty reasoning block, does not belong to a prompt.
   */
  #restOfHeader(begun: string): string {
    if (!this.shape.history) return "";
    const [before = "", answer] = this.#trySample(["user", "assistant"], false).split(this.#place(1));
    if (answer === undefined || !before.startsWith(begun)) return "";
    const rest = before.slice(begun.length);
    const belongs =
      rest.trim() === "" || rest.includes(CHANNEL) || this.#trySample(["user"], false) === begun;
    return belongs ? rest : "";
  }

  #answerEnds(): LlamaText[] {
    const ends = [LlamaText(new SpecialToken("EOS"))];
    if (!this.shape.history) return ends;
    const [, last = ""] = this.#trySample(["user", "assistant"], false).split(this.#place(1));
    const [, next = ""] = this.#sample(["user", "assistant", "user"], true).split(this.#place(1));
    const [inner = ""] = next.split(this.#place(2));
    return [...ends, ...[last, inner].map((text) => LlamaText(this.#valuesOf(text, [])))];
  }

  /** A rendered text with the contents in their places. */
  #valuesOf(text: string, messages: readonly TemplateMessage[]): Value[] {
    const values: Value[] = [];
    const pieces = text.split(this.#places);
    for (let index = 0; index < pieces.length; index += 2) {
      const written = pieces[index] ?? "";
      const place = pieces[index + 1] ?? "";
      const message = messages[Number(place || Number.NaN)];
      const isAnswer = message?.role === "assistant";
      // The blank before an answer is a part of its text, as it was when the answer was drawn.
      const own = isAnswer && this.#blank !== "" && written.endsWith(" ") ? written.slice(0, -1) : written;
      if (own !== "") values.push(new SpecialTokensText(own));
      if (isAnswer) values.push(this.#afterBlank(message.content));
      else if (message !== undefined) values.push(message.content);
      else if (place in tokenVariables)
        values.push(new SpecialToken(tokenVariables[place as keyof typeof tokenVariables]));
    }
    return values;
  }
}

/** A word that does not occur in a text, in lower case and without digits. */
function unusedWord(text: string): string {
  let word = "qv";
  while (text.includes(word)) word += "xv";
  return word;
}
