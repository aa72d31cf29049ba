/** One command as the palette shows it. */
export interface CommandHint {
  readonly name: string;
  /** What follows the name, as people write it; empty without arguments. */
  readonly usage: string;
  readonly description: string;
  /** What completing the command writes; `|` marks where the caret goes. */
  readonly template: string;
}

/** The commands of the server, in the order people look for them. A test holds this list against the server's own. */
export const commandHints: readonly CommandHint[] = [
  { name: "help", usage: "", description: "List all commands", template: "/help|" },
  {
    name: "analyze",
    usage: 'text="…"',
    description: "Sentiment, confidence and key points of a text",
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
    description: "Give the model a text to keep in mind",
    template: '/setcontext text="|"',
  },
  {
    name: "getcontext",
    usage: "",
    description: "Show what the model keeps in mind",
    template: "/getcontext|",
  },
  { name: "clearcontext", usage: "", description: "Forget the context", template: "/clearcontext|" },
  {
    name: "clear",
    usage: "",
    description: "Forget this conversation's history",
    template: "/clear|",
  },
];

/** Commands whose only argument is a text: for them the page writes the quotes. */
const singleText: ReadonlySet<string> = new Set(["analyze", "setcontext"]);

/** Writes an argument's value so that the server reads back exactly `value`. */
export function quoteValue(value: string): string {
  return `"${value.replace(/["\\]/g, "\\$&")}"`;
}

/** The name of the command a text begins with, lower case; undefined for chat, `//text` included. */
export function commandName(text: string): string | undefined {
  return /^\s*\/(?!\/)([A-Za-z][\w-]*)(?=\s|$)/.exec(text)?.[1]?.toLowerCase();
}

/** The commands to offer while `text` is still the start of a name; undefined when no palette should show. */
export function matchingCommands(text: string): readonly CommandHint[] | undefined {
  const typed = /^\/([A-Za-z]*)$/.exec(text)?.[1]?.toLowerCase();
  if (typed === undefined) return undefined;
  const matches = commandHints.filter((hint) => hint.name.startsWith(typed));
  return matches.length > 0 ? matches : undefined;
}

/** The template's text and where the caret goes. */
export function completion(hint: CommandHint): { readonly text: string; readonly caret: number } {
  return { text: hint.template.replace("|", ""), caret: hint.template.indexOf("|") };
}

/** `/analyze I like it` becomes `/analyze text="I like it"`; everything else stays as it is. */
export function writeOutShorthand(text: string): string {
  const match = /^\s*\/([A-Za-z]+)\s+(\S[\s\S]*)$/.exec(text);
  const name = match?.[1]?.toLowerCase();
  const rest = match?.[2];
  if (name === undefined || rest === undefined || !singleText.has(name)) return text;
  return /^[A-Za-z_][\w-]*=/.test(rest) ? text : `/${name} text=${quoteValue(rest.trimEnd())}`;
}
