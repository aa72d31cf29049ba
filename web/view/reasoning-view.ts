import { make } from "./dom.ts";

/** Shows the reasoning before an answer, folded. It is plain text: the user rarely reads it. */
export class ReasoningView {
  readonly node: HTMLDetailsElement;
  readonly #text = document.createTextNode("");
  #shown = "";

  constructor() {
    const body = make("div", "reasoning-text", this.#text);
    body.dir = "auto";
    this.node = make("details", "reasoning", make("summary", "", "Reasoning"), body);
    this.show("");
  }

  /** Shows a text. Only the new part of a text that has grown is drawn. */
  show(text: string): void {
    const shown = this.#shown;
    this.#shown = text;
    if (text.length > shown.length && text.startsWith(shown)) this.#text.appendData(text.slice(shown.length));
    else if (text !== shown) this.#text.data = text;
    this.node.hidden = text === "";
  }
}
