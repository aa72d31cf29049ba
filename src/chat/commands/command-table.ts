import { nearestWord } from "../../core/edit-distance.ts";
import type { ParsedCommand } from "../../protocol/command-syntax.ts";
import { analyze } from "./analyze.ts";
import { clearContext } from "./clear-context.ts";
import { clear } from "./clear.ts";
import { succeed, usageOf, type Command } from "./command.ts";
import { getContext } from "./get-context.ts";
import { setContext } from "./set-context.ts";
import { summarize } from "./summarize.ts";
import { translate } from "./translate.ts";

/** Characters of a mistyped name that are compared with the known names; bounds the cost of the comparison. */
const MAX_TYPED_NAME_CHARS = 32;

const help: Command = {
  name: "help",
  description: "List the commands.",
  args: [],
  run: () =>
    Promise.resolve(
      succeed({
        commands: commands.map((command) => ({
          name: `/${command.name}`,
          usage: usageOf(command),
          description: command.description,
        })),
      }),
    ),
};

/** All commands, in the order of /help. */
export const commands: readonly Command[] = [
  help,
  clear,
  summarize,
  analyze,
  translate,
  setContext,
  getContext,
  clearContext,
];

const byName = new Map(commands.map((command) => [command.name, command]));

export function findCommand(name: string): Command | undefined {
  return byName.get(name);
}

/** Message about missing or unknown arguments, with the usage line; undefined when the arguments are valid. */
export function faultOf(command: Command, parsed: ParsedCommand): string | undefined {
  const usage = `Usage: ${usageOf(command)}`;
  const missing = command.args.filter(({ name }) => !parsed.args.has(name)).map(({ name }) => name);
  if (missing.length > 0) return `Missing argument: ${missing.join(", ")}. ${usage}`;
  const known = new Set(command.args.map(({ name }) => name));
  const unknown = [...parsed.args.keys()].filter((name) => !known.has(name));
  return unknown.length > 0 ? `Unknown argument: ${unknown.join(", ")}. ${usage}` : undefined;
}

/** Name of the command nearest to a mistyped name. */
export function nearestCommand(name: string): string {
  return nearestWord(name.slice(0, MAX_TYPED_NAME_CHARS), byName.keys()) ?? help.name;
}
