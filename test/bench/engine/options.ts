import { parseArgs } from "node:util";
import { usableCores } from "../../../src/core/usable-cores.ts";
import { autoThreads } from "../../../src/engine/model/capacity.ts";
import type { AnyScenario, Sizes } from "./scenario.ts";

export interface EngineBenchOptions {
  readonly scenarios: readonly AnyScenario[];
  /** Names of the cases to run; empty runs all. */
  readonly cases: readonly string[];
  /** If undefined, each scenario's own number of pairs. */
  readonly pairs: number | undefined;
  readonly model: string;
  readonly threads: number;
  readonly quick: boolean;
  /** Sizes that override those of the scenario. */
  readonly sizes: Sizes;
  /** Extra settings of the service. */
  readonly settings: Readonly<Record<string, string>>;
  /** Measure the service without a control. */
  readonly alone: boolean;
  readonly seed: number;
  /** Name of the result file, without extension. If undefined, it is made from the scenario and the model. */
  readonly out: string | undefined;
}

/** Scenarios that run only when --scenario names them. `trade` takes hours and has no bar. */
const EXPLICIT_ONLY = ["trade"];

export function engineUsage(scenarios: readonly AnyScenario[]): string {
  const width = Math.max(...scenarios.map(({ name }) => name.length));
  const lines = scenarios.map(({ name, about, full }) => {
    const sizes = Object.entries(full).map(([key, value]) => `${key}=${value}`);
    return `  ${name.padEnd(width)}  ${about}\n  ${" ".repeat(width)}  ${sizes.join(" ")}`;
  });
  return `npm run bench -- engine [options]

  --scenario NAME   a scenario of the list below, or several separated by commas (default: all but trade)
  --case NAME       run only this case of a scenario, or several separated by commas
  --pairs N         measurements of each server, alternating (default: 9, or 3 runs if there is no control)
  --model NAME      smollm2 (default), tinyllama-shape, tiny, or a GGUF file
  --threads N       threads of each server (default: the service's own default)
  --size KEY=N      change a size of the scenario, see the list below; may be repeated
  --set KEY=VALUE   set a setting of the service; may be repeated
  --alone           measure the service without a control
  --quick           small sizes, to check that a scenario runs; the figures mean nothing
  --seed N          seed of the prompts and arrivals (default: 1)
  --out NAME        write the result to test-results/NAME.json

LLAMA_SERVER_BIN is the path of the llama-server to compare with. Scenarios and their sizes:

${lines.join("\n")}`;
}

/** @throws Error if an argument is unknown or invalid. */
export function readEngineOptions(args: readonly string[], all: readonly AnyScenario[]): EngineBenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      scenario: { type: "string" },
      case: { type: "string", default: "" },
      pairs: { type: "string" },
      model: { type: "string", default: "smollm2" },
      threads: { type: "string", default: String(autoThreads(usableCores(), 0)) },
      size: { type: "string", multiple: true, default: [] },
      set: { type: "string", multiple: true, default: [] },
      alone: { type: "boolean", default: false },
      quick: { type: "boolean", default: false },
      seed: { type: "string", default: "1" },
      out: { type: "string" },
    },
  });
  const sizes = Object.fromEntries(
    values.size.map(pairOf).map(([key, text]) => [key, numberOf(`size ${key}`, text)]),
  );
  const scenarios = chosen(values.scenario, all);
  for (const key of Object.keys(sizes)) {
    if (!scenarios.some(({ full }) => Object.hasOwn(full, key)))
      throw new Error(`No scenario here has a size ${key}.`);
  }
  return {
    scenarios,
    cases: values.case === "" ? [] : values.case.split(","),
    pairs: values.pairs === undefined ? undefined : countOf("pairs", values.pairs),
    model: values.model,
    threads: countOf("threads", values.threads),
    quick: values.quick,
    sizes,
    settings: Object.fromEntries(values.set.map(pairOf)),
    alone: values.alone,
    seed: countOf("seed", values.seed),
    out: values.out,
  };
}

function chosen(text: string | undefined, all: readonly AnyScenario[]): AnyScenario[] {
  if (text === undefined) return all.filter(({ name }) => !EXPLICIT_ONLY.includes(name));
  return text.split(",").map((name) => {
    const found = all.find((scenario) => scenario.name === name);
    if (!found) throw new Error(`There is no scenario ${name}.`);
    return found;
  });
}

function pairOf(text: string): [string, string] {
  const at = text.indexOf("=");
  if (at < 1) throw new Error(`Expected KEY=VALUE, not ${JSON.stringify(text)}.`);
  return [text.slice(0, at), text.slice(at + 1)];
}

function numberOf(name: string, text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value) && value >= 0) return value;
  throw new Error(`--${name} must be a number from 0 on, not ${JSON.stringify(text)}.`);
}

/** @throws Error if the value of `--name` is not a positive whole number. */
export function countOf(name: string, text: string): number {
  const value = numberOf(name, text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new Error(`--${name} must be a positive whole number, not ${JSON.stringify(text)}.`);
}
