import { JinjaPrompt, type JinjaPromptOptions } from "./jinja-prompt.ts";

export interface SourceOptions extends Omit<JinjaPromptOptions, "variables"> {
  now(): Date;
}

/** Lists of tools and documents as other servers pass them where there are none. */
const NO_LISTS = { tools: null, documents: null };
/** Lists for templates that measure them without asking whether they are defined. */
const EMPTY_LISTS = { tools: [], documents: [], builtin_tools: [], custom_tools: [] };

const monthName = new Intl.DateTimeFormat("en-US", { month: "short" });

/**
 * Creates the prompts of a Jinja template, with the variables that templates use: lists of tools and documents, the
 * date, whether models that can reason do so. There are two ways to pass no tools. The first one is used with which the
 * template takes histories and system messages, or else the first one with which it takes a message of a user.
 *
 * @throws Error of the first way, if the template cannot be used
 */
export function promptsOfSource({ now, ...options }: SourceOptions): JinjaPrompt {
  let usable: JinjaPrompt | undefined;
  let fault: unknown;
  for (const lists of [NO_LISTS, EMPTY_LISTS]) {
    const variables = (): Record<string, unknown> => ({
      ...lists,
      enable_thinking: true,
      date_string: dateText(now()),
      pad_token: "",
      unk_token: "",
    });
    try {
      const prompts = new JinjaPrompt({ ...options, variables });
      if (prompts.shape.history && prompts.shape.system !== "refused") return prompts;
      usable ??= prompts;
    } catch (error) {
      fault ??= error;
    }
  }
  if (usable === undefined) throw fault;
  return usable;
}

/** A date as Llama's templates write it: `05 Mar 2026`. */
function dateText(date: Date): string {
  return `${String(date.getDate()).padStart(2, "0")} ${monthName.format(date)} ${date.getFullYear()}`;
}
