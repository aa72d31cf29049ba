import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import buildOnce from "../../support/build-once.ts";
import { tableLines } from "../../support/table.ts";

/** One requirement that a program checks. */
export interface Bar {
  readonly what: string;
  readonly measured: string;
  readonly bar: string;
  readonly held: boolean;
}

/** A load program that needs only Node.js. It uses the loopback address. */
export interface LoadProgram {
  /** One line for the usage text. */
  readonly summary: string;
  /** Options with their defaults. All are positive whole numbers. */
  readonly options: Readonly<Record<string, { readonly default: number; readonly doc: string }>>;
  /** An option that takes names separated by commas. Default: all of them. */
  readonly choice?: { readonly option: string; readonly names: readonly string[]; readonly doc: string };
  /** @param chosen the names of {@link choice}; empty without a choice */
  run(options: Readonly<Record<string, number>>, chosen: readonly string[]): Promise<readonly Bar[]>;
}

export function bar(what: string, measured: string, limit: string, held: boolean): Bar {
  return { what, measured, bar: limit, held };
}

/** A bar that requires a count of zero. */
export const none = (what: string, count: number): Bar => bar(what, String(count), "0", count === 0);

/** Usage lines of one program and its options. */
export function usageLines(name: string, { summary, options, choice }: LoadProgram): string[] {
  const lines = Object.entries(options).map(([option, { default: value, doc }]) => {
    return `      --${`${option} N`.padEnd(14)} ${doc} (default ${value})`;
  });
  if (choice !== undefined) {
    lines.push(
      `      --${`${choice.option} NAME,NAME`.padEnd(14)} ${choice.doc}: ${choice.names.join(", ")}`,
    );
  }
  return [`  ${name.padEnd(12)}${summary}`, ...lines];
}

/** Runs a program and prints its table. @returns the exit code: 1 if a bar is missed, 2 if the arguments are wrong */
export async function runProgram(
  name: string,
  program: LoadProgram,
  args: readonly string[],
): Promise<number> {
  let options: Record<string, number>;
  let chosen: readonly string[];
  try {
    ({ options, chosen } = readArguments(program, args));
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${usageLines(name, program).join("\n")}`);
    return 2;
  }
  buildOnce();
  const begin = performance.now();
  const bars = await program.run(options, chosen);
  const rows = bars.map(({ what, measured, bar: limit, held }) => [
    what,
    measured,
    limit,
    held ? "met" : "MISSED",
  ]);
  for (const line of tableLines([["", "measured", "bar", ""], ...rows], "left")) console.log(line);
  const folder = fileURLToPath(new URL("../../../test-results", import.meta.url));
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `load-${name}.json`), `${JSON.stringify({ options, bars }, null, 2)}\n`);
  const passed = bars.every(({ held }) => held);
  const seconds = ((performance.now() - begin) / 1000).toFixed(1);
  console.log(`${passed ? "PASSED" : "FAILED"} in ${seconds} s; figures: test-results/load-${name}.json`);
  return passed ? 0 : 1;
}

/** @throws Error if the arguments are not those of the program. */
export function readArguments(
  { options, choice }: Pick<LoadProgram, "options" | "choice">,
  args: readonly string[],
): { options: Record<string, number>; chosen: readonly string[] } {
  const names = Object.keys(options);
  const known = choice === undefined ? names : [...names, choice.option];
  const { values } = parseArgs({
    args: [...args],
    options: Object.fromEntries(known.map((option) => [option, { type: "string" as const }])),
  });
  const numbers = Object.fromEntries(
    names.map((option) => {
      const given = values[option];
      const value = given === undefined ? options[option]?.default : Number(given);
      if (value === undefined || !Number.isSafeInteger(value) || value < 1) {
        throw new RangeError(`--${option} must be a positive whole number, not ${JSON.stringify(given)}.`);
      }
      return [option, value];
    }),
  );
  return { options: numbers, chosen: choice === undefined ? [] : chosenOf(choice, values[choice.option]) };
}

function chosenOf(
  { option, names }: NonNullable<LoadProgram["choice"]>,
  given: string | undefined,
): readonly string[] {
  if (given === undefined) return names;
  const chosen = given.split(",");
  const unknown = chosen.find((name) => !names.includes(name));
  if (unknown === undefined) return chosen;
  throw new RangeError(`--${option} must list names of ${names.join(", ")}, not ${JSON.stringify(unknown)}.`);
}
