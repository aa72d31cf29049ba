type Child = Node | string;

/** Makes an element with a class and children; strings become text and nothing else. */
export function make<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  className = "",
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  const node = document.createElement(tag);
  if (className !== "") node.className = className;
  node.append(...children);
  return node;
}

/** A button that does not submit anything. */
export function makeButton(
  className: string,
  label: string,
  onClick: (button: HTMLButtonElement) => void,
): HTMLButtonElement {
  const button = make("button", className, label);
  button.type = "button";
  button.addEventListener("click", () => onClick(button));
  return button;
}

/** The element of the page with this id, which must be of the given kind. */
export function find<Kind extends Element>(id: string, kind: abstract new () => Kind): Kind {
  const node = document.getElementById(id);
  if (!(node instanceof kind)) throw new Error(`the page has no ${kind.name} #${id}`);
  return node;
}

/** Text that only screen readers get. */
export function spoken(text: string): HTMLSpanElement {
  return make("span", "visually-hidden", text);
}

/** Copies text, also on pages without a secure context, where the clipboard API is missing. */
export async function copyText(text: string): Promise<boolean> {
  if (window.isSecureContext) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Refused by the person or the browser: the older way may still do.
    }
  }
  const area = make("textarea", "visually-hidden");
  area.value = text;
  document.body.append(area);
  const before = document.activeElement;
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (before instanceof HTMLElement) before.focus();
  return done;
}

/** A button that copies what `text` gives and says so. */
export function makeCopyButton(text: () => string): HTMLButtonElement {
  return makeButton("quiet", "Copy", (button) => {
    void copyText(text()).then((done) => {
      button.textContent = done ? "Copied" : "Copying was refused";
      setTimeout(() => (button.textContent = "Copy"), 1_600);
    });
  });
}
