/** A command as listed in the palette. */
export interface CommandHint {
  readonly name: string;
  /** Arguments as a user types them, such as `text="…"`. Empty if the command has none. */
  readonly usage: string;
  readonly description: string;
  /** Text that completion inserts. `|` marks the caret position. */
  readonly template: string;
}

/** Commands of the server, the most useful first. A test compares this list with the server's command table. */
export const commandHints: readonly CommandHint[] = [
  { name: "help", usage: "", description: "List all commands", template: "/help|" },
  {
    name: "analyze",
    usage: 'text="…"',
    description: "Find the sentiment and key points of a text",
    template: '/analyze text="|"',
  },
  {
    name: "translate",
    usage: 'text="…" target_language="Spanish"',
    description: "Translate a text",
    template: '/translate text="|" target_language="Spanish"',
  },
  {
    name: "summarize",
    usage: "",
    description: "Summarize this conversation",
    template: "/summarize|",
  },
  {
    name: "setcontext",
    usage: 'text="…"',
    description: "Set a text for the model to keep in mind",
    template: '/setcontext text="|"',
  },
  {
    name: "getcontext",
    usage: "",
    description: "Show the text the model keeps in mind",
    template: "/getcontext|",
  },
  {
    name: "clearcontext",
    usage: "",
    description: "Clear the text the model keeps in mind",
    template: "/clearcontext|",
  },
  {
    name: "clear",
    usage: "",
    description: "Make the model forget this conversation",
    template: "/clear|",
  },
];

/** Commands whose only argument is `text`. Their argument may be typed without a name and quotes. */
const textOnlyCommands: ReadonlySet<string> = new Set(["analyze", "setcontext"]);

/** Quotes an argument value so that the server's parser returns exactly `value`. */
export function quoteValue(value: string): string {
  return `"${value.replace(/["\\]/g, "\\$&")}"`;
}

/** Lower-case name of the command at the start of `text`. Undefined for chat text, including `//text`. */
export function commandName(text: string): string | undefined {
  return /^\s*\/(?!\/)([A-Za-z][\w-]*)(?=\s|$)/.exec(text)?.[1]?.toLowerCase();
}

/** Commands to offer while `text` is the start of a command name. Undefined if the palette should be closed. */
export function matchingCommands(text: string): readonly CommandHint[] | undefined {
  const typed = /^\/([A-Za-z]*)$/.exec(text)?.[1]?.toLowerCase();
  if (typed === undefined) return undefined;
  const matches = commandHints.filter((hint) => hint.name.startsWith(typed));
  return matches.length > 0 ? matches : undefined;
}

/** Text of the template, and the caret position in it. */
export function completion(hint: CommandHint): { readonly text: string; readonly caret: number } {
  return { text: hint.template.replace("|", ""), caret: hint.template.indexOf("|") };
}

/** Expands `/analyze I like it` to `/analyze text="I like it"`. Returns any other text unchanged. */
export function expandShorthand(text: string): string {
  const match = /^\s*\/([A-Za-z]+)\s+(\S[\s\S]*)$/.exec(text);
  const name = match?.[1]?.toLowerCase();
  const rest = match?.[2];
  if (name === undefined || rest === undefined || !textOnlyCommands.has(name)) return text;
  return /^[A-Za-z_][\w-]*=/.test(rest) ? text : `/${name} text=${quoteValue(rest.trimEnd())}`;
}
