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

/** Beyond this a mistyped name is not worth comparing. */
const LONGEST_TYPED_NAME = 32;

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

/** All commands, in the order in which /help lists them. */
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

/** What is wrong with the arguments, with the usage line; undefined when nothing is. */
export function faultOf(command: Command, parsed: ParsedCommand): string | undefined {
  const usage = `Usage: ${usageOf(command)}`;
  const missing = command.args.filter(({ name }) => !parsed.args.has(name)).map(({ name }) => name);
  if (missing.length > 0) return `Missing argument: ${missing.join(", ")}. ${usage}`;
  const known = new Set(command.args.map(({ name }) => name));
  const unknown = [...parsed.args.keys()].filter((name) => !known.has(name));
  return unknown.length > 0 ? `Unknown argument: ${unknown.join(", ")}. ${usage}` : undefined;
}

/** The command whose name is nearest to a mistyped one. */
export function nearestCommand(name: string): string {
  return nearestWord(name.slice(0, LONGEST_TYPED_NAME), byName.keys()) ?? help.name;
}
