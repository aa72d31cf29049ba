import { matchingCommands, type CommandHint } from "./command-hints.ts";
import { make } from "./dom.ts";

/** The list of commands above the message box. The box controls it with the keys of an ARIA combobox. */
export class Palette {
  readonly #box: HTMLTextAreaElement;
  readonly #list: HTMLElement;
  readonly #onPick: (hint: CommandHint) => void;
  #matches: readonly CommandHint[] = [];
  #active = 0;
  #dismissed = false;

  constructor(box: HTMLTextAreaElement, list: HTMLElement, onPick: (hint: CommandHint) => void) {
    this.#box = box;
    this.#list = list;
    this.#onPick = onPick;
    this.close();
  }

  get isOpen(): boolean {
    return !this.#list.hidden;
  }

  /** The highlighted command, which Enter or Tab completes. */
  get active(): CommandHint | undefined {
    return this.isOpen ? this.#matches[this.#active] : undefined;
  }

  /** Filters the list by `text`. After {@link dismiss} it stays closed until the text no longer starts a command. */
  filter(text: string): void {
    const matches = matchingCommands(text);
    if (matches === undefined) {
      this.#dismissed = false;
      this.close();
    } else if (!this.#dismissed) {
      this.#matches = matches;
      this.#active = 0;
      this.#draw();
    }
  }

  /** Closes the list at the user's request. */
  dismiss(): void {
    this.#dismissed = true;
    this.close();
  }

  close(): void {
    this.#list.hidden = true;
    this.#list.replaceChildren();
    // The box has the combobox role only while the list is open.
    this.#box.removeAttribute("role");
    this.#box.removeAttribute("aria-expanded");
    this.#box.removeAttribute("aria-activedescendant");
  }

  move(step: 1 | -1): void {
    const count = this.#matches.length;
    this.#active = (this.#active + step + count) % count;
    this.#draw();
  }

  #draw(): void {
    const rows = this.#matches.map((hint, index) => this.#row(hint, index));
    this.#list.replaceChildren(...rows);
    this.#list.hidden = false;
    this.#box.setAttribute("role", "combobox");
    this.#box.setAttribute("aria-expanded", "true");
    this.#box.setAttribute("aria-activedescendant", `command-${this.#active}`);
    rows[this.#active]?.scrollIntoView({ block: "nearest" });
  }

  #row(hint: CommandHint, index: number): HTMLElement {
    const name = make("span", "name", `/${hint.name}`);
    const row = make(
      "li",
      "",
      name,
      " ",
      make("span", "usage", hint.usage),
      make("span", "description", hint.description),
    );
    row.id = `command-${index}`;
    row.setAttribute("role", "option");
    row.setAttribute("aria-selected", String(index === this.#active));
    // A click would move the focus out of the box before the handler runs.
    row.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      this.#onPick(hint);
    });
    return row;
  }
}
