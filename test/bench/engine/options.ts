import { parseArgs } from "node:util";
import { usableCores } from "../../../src/core/usable-cores.ts";
import { autoThreads } from "../../../src/engine/model/capacity.ts";
import type { AnyScenario, Sizes } from "./scenario.ts";

export interface EngineBenchOptions {
  readonly scenarios: readonly AnyScenario[];
  /** Names of cases to keep; empty: all. */
  readonly cases: readonly string[];
  /** Undefined: as many as each scenario asks for. */
  readonly pairs: number | undefined;
  readonly model: string;
  readonly threads: number;
  readonly quick: boolean;
  /** Sizes that differ from the scenario's. */
  readonly sizes: Sizes;
  /** Settings of the service. */
  readonly settings: Readonly<Record<string, string>>;
  /** Measure the service alone. */
  readonly alone: boolean;
  readonly seed: number;
  /** Name of the result file, without extension; undefined: made from scenario and model. */
  readonly out: string | undefined;
}

/** Names that one may mean at once by leaving --scenario out; `trade` takes hours and has no bar. */
const LEFT_OUT = ["trade"];

export function engineUsage(scenarios: readonly AnyScenario[]): string {
  const width = Math.max(...scenarios.map(({ name }) => name.length));
  const lines = scenarios.map(({ name, about, full }) => {
    const sizes = Object.entries(full).map(([key, value]) => `${key}=${value}`);
    return `  ${name.padEnd(width)}  ${about}\n  ${" ".repeat(width)}  ${sizes.join(" ")}`;
  });
  return `npm run bench -- engine [options]

  --scenario NAME   one of those below, or several with commas (default: all but trade)
  --case NAME       only this case of a scenario, or several with commas
  --pairs N         measurements of each server; they take turns (default: 9, or 3 runs without a control)
  --model NAME      smollm2 (default), tinyllama-shape, tiny, or a GGUF file
  --threads N       threads of each server (default: what the service takes by itself)
  --size KEY=N      changes a size of the scenario, as listed below; may be repeated
  --set KEY=VALUE   a setting of the service; may be repeated
  --alone           without a control
  --quick           small sizes: whether it runs, not how fast
  --seed N          of the prompts and arrivals (default 1)
  --out NAME        the result goes to test-results/NAME.json

LLAMA_SERVER_BIN is the llama-server to compare with. Scenarios and their sizes:

${lines.join("\n")}`;
}

/** @throws Error when the arguments cannot be understood. */
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
  if (text === undefined) return all.filter(({ name }) => !LEFT_OUT.includes(name));
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

/** @throws Error when the text of `--name` is no whole number over 0. */
export function countOf(name: string, text: string): number {
  const value = numberOf(name, text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new Error(`--${name} must be a positive whole number, not ${JSON.stringify(text)}.`);
}
