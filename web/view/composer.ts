import { commandHints, commandName, completion, type CommandHint } from "./command-hints.ts";
import { find } from "./dom.ts";
import { Palette } from "./palette.ts";

export interface ComposerActions {
  send(text: string): void;
  stop(): void;
  /** Text of the last sent message. The arrow-up key puts it into an empty box. */
  lastSent(): string | undefined;
}

/** The message box with the command palette, the usage hint, and the Send and Stop buttons. */
export class Composer {
  readonly #box = find("message", HTMLTextAreaElement);
  readonly #send = find("send", HTMLButtonElement);
  readonly #stop = find("stop", HTMLButtonElement);
  readonly #usage = find("usage", HTMLElement);
  readonly #palette: Palette;
  readonly #actions: ComposerActions;

  constructor(actions: ComposerActions) {
    this.#actions = actions;
    this.#palette = new Palette(this.#box, find("palette", HTMLElement), (hint) => this.#complete(hint));
    this.#box.addEventListener("input", () => this.#changed());
    this.#box.addEventListener("keydown", (event) => this.#key(event));
    this.#box.addEventListener("blur", () => this.#palette.close());
    this.#stop.addEventListener("click", () => {
      actions.stop();
      this.focus();
    });
    find("composer", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#changed();
  }

  get text(): string {
    return this.#box.value;
  }

  focus(): void {
    this.#box.focus();
  }

  /** Replaces the text and moves the caret to `caret`, by default to the end. */
  write(text: string, caret = text.length): void {
    this.#box.value = text;
    this.focus();
    this.#box.setSelectionRange(caret, caret);
    this.#changed();
  }

  showRunning(running: boolean): void {
    this.#stop.hidden = !running;
  }

  #submit(): void {
    const text = this.#box.value;
    if (text.trim() === "") return;
    this.#box.value = "";
    this.#changed();
    this.#actions.send(text);
    this.focus();
  }

  #complete(hint: CommandHint): void {
    const { text, caret } = completion(hint);
    this.#palette.dismiss();
    this.write(text, caret);
  }

  #changed(): void {
    const text = this.#box.value;
    this.#send.disabled = text.trim() === "";
    this.#palette.filter(text);
    const hint = commandHints.find(({ name }) => name === commandName(text));
    this.#usage.textContent = hint === undefined || this.#palette.isOpen ? "" : `/${hint.name} ${hint.usage}`;
    // Fits the height to the text. The style sheet sets the minimum and the maximum.
    this.#box.style.height = "auto";
    this.#box.style.height = `${this.#box.scrollHeight}px`;
  }

  #key(event: KeyboardEvent): void {
    // Keys pressed during IME composition belong to the IME. Old WebKit marks them by key code 229 only.
    if (event.isComposing || event.keyCode === 229) return;
    if (this.#palette.isOpen && this.#paletteKey(event)) {
      event.preventDefault();
      return;
    }
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.#submit();
    } else if (event.key === "Escape" && !this.#stop.hidden) {
      this.#actions.stop();
    } else if (event.key === "ArrowUp" && this.#box.value === "") {
      const last = this.#actions.lastSent();
      if (last === undefined) return;
      event.preventDefault();
      this.write(last);
    }
  }

  /** Returns whether the palette handled the key. */
  #paletteKey(event: KeyboardEvent): boolean {
    const { active } = this.#palette;
    switch (event.key) {
      case "ArrowDown":
        this.#palette.move(1);
        return true;
      case "ArrowUp":
        this.#palette.move(-1);
        return true;
      case "Escape":
        this.#palette.dismiss();
        return true;
      case "Tab":
        if (active !== undefined) this.#complete(active);
        return active !== undefined;
      case "Enter":
        // A fully typed command without arguments is sent. Any other command is completed first.
        if (active === undefined || (active.usage === "" && this.#box.value === `/${active.name}`))
          return false;
        this.#complete(active);
        return true;
      default:
        return false;
    }
  }
}
