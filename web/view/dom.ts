type Child = Node | string;

/** Creates an element with a class and children. Strings become text nodes and are never parsed as HTML. */
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

/** Creates a button that does not submit its form. */
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

/**
 * Finds the element with this id.
 *
 * @throws Error if the page has no such element of the given kind.
 */
export function find<Kind extends Element>(id: string, kind: abstract new () => Kind): Kind {
  const node = document.getElementById(id);
  if (!(node instanceof kind)) throw new Error(`the page has no ${kind.name} #${id}`);
  return node;
}

/** Creates text for screen readers only. */
export function screenReaderText(text: string): HTMLSpanElement {
  return make("span", "visually-hidden", text);
}

/** Copies text to the clipboard and returns whether that worked. Also works without a secure context (plain HTTP). */
export async function copyText(text: string): Promise<boolean> {
  if (window.isSecureContext) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // The user or the browser refused. The older API below may still work.
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

/** Creates a button that copies the result of `text` and shows whether that worked. */
export function makeCopyButton(text: () => string): HTMLButtonElement {
  return makeButton("quiet", "Copy", (button) => {
    void copyText(text()).then((done) => {
      button.textContent = done ? "Copied" : "Could not copy";
      setTimeout(() => (button.textContent = "Copy"), 1_600);
    });
  });
}
