import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { settings as knownSettings } from "../../../src/config/schema.ts";
import { machineFacts } from "../harness/machine.ts";
import type { Model } from "./chat-target.ts";
import type { Verdict } from "./load/bars.ts";
import { measureCase, type CaseResult, type Start } from "./measure.ts";
import { findModel } from "./models.ts";
import { engineUsage, readEngineOptions, type EngineBenchOptions } from "./options.ts";
import { caseLines, summaryText } from "./report.ts";
import type { AnyScenario, Case } from "./scenario.ts";
import { scenarios } from "./scenarios/index.ts";
import { startFreeRunning } from "./targets/free-running.ts";
import { startLlamaServer } from "./targets/llama-server.ts";
import { startServiceTarget } from "./targets/service.ts";
import { tradePlot } from "./trade-plot.ts";

const results = fileURLToPath(new URL("../../../test-results/", import.meta.url));

export interface ScenarioResult {
  readonly scenario: string;
  readonly cases: readonly CaseResult[];
  /** Why the scenario was not measured; null if it was. */
  readonly skipped: string | null;
}

/** `npm run bench -- engine`. The service must have been built. @returns the exit code */
export async function engineBench(args: readonly string[]): Promise<number> {
  if (args.includes("--help")) {
    console.log(engineUsage(scenarios));
    return 0;
  }
  let options: EngineBenchOptions;
  try {
    options = readEngineOptions(args, scenarios);
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${engineUsage(scenarios)}`);
    return 2;
  }
  const model = await findModel(options.model);
  const machine = machineFacts();
  const llamaServer = llamaServerFacts(options.alone);
  console.log(`${model.name}, ${options.threads} threads; ${machine.cpu}, ${machine.cores} cores;`);
  console.log(
    `load ${machine.loadAtStart} at the start; control: ${llamaServer?.version ?? "no llama-server"}\n`,
  );
  const done: ScenarioResult[] = [];
  for (const scenario of options.scenarios) {
    const means = { ...options, model, llamaServer: llamaServer?.binary ?? null, print };
    done.push(await runScenario(scenario, means));
    const file = save(options, done, { machine, llamaServer, model, options: summaryOf(options) });
    if (scenario === options.scenarios.at(-1)) console.log(`all samples: ${file}`);
  }
  console.log(summaryText(verdictsOf(done)));
  return 0;
}

export interface Means extends Omit<EngineBenchOptions, "scenarios" | "model" | "out"> {
  readonly model: Model;
  /** Path of the llama-server binary; null if there is none. */
  readonly llamaServer: string | null;
  /** Called with each line of the report. */
  readonly print: (line: string) => void;
}

function print(line: string): void {
  console.log(line);
}

/** Runs all cases of a scenario and reports each case as soon as it is done. */
export async function runScenario(scenario: AnyScenario, means: Means): Promise<ScenarioResult> {
  const problem = obstacle(scenario, means);
  if (problem !== null) {
    means.print(`${scenario.name}: not measured: ${problem}\n`);
    return { scenario: scenario.name, cases: [], skipped: problem };
  }
  const sizes = { ...(means.quick ? scenario.quick : scenario.full), ...means.sizes };
  const wanted = scenario
    .cases(sizes)
    .filter(({ name }) => means.cases.length === 0 || means.cases.includes(name));
  const done: CaseResult[] = [];
  for (const testCase of wanted) {
    const before = loadavg()[0] ?? 0;
    const result = await measureCase(testCase, {
      ...startersOf(scenario, testCase, means),
      pairs: means.pairs ?? scenario.pairs,
      seed: means.seed,
      progress: (line) => means.print(`${new Date().toISOString()} ${scenario.name}, ${line}`),
    });
    done.push(result);
    for (const line of caseLines(scenario.name, result)) means.print(line);
    means.print(`machine load ${before.toFixed(2)} before, ${(loadavg()[0] ?? 0).toFixed(2)} after\n`);
  }
  return { scenario: scenario.name, cases: done, skipped: null };
}

/** Why a scenario cannot be measured with these options; null if it can. */
function obstacle({ needs, control }: AnyScenario, { llamaServer, alone }: Means): string | null {
  const unknown = needs?.find((name) => !Object.hasOwn(knownSettings, name));
  if (unknown !== undefined) return `the service has no setting ${unknown}`;
  if (control !== "llama-server" || llamaServer !== null || alone) return null;
  return "LLAMA_SERVER_BIN is not set; use --alone to measure without llama-server";
}

function startersOf(
  { control }: AnyScenario,
  { controlSettings }: Case,
  { model, threads, settings, alone, llamaServer: binary }: Means,
): { service: Start; control: Start | null } {
  const service: Start = (spec) => startServiceTarget({ model, threads, settings }, spec);
  if (alone || control === "none") return { service, control: null };
  if (control === "free-running") {
    return { service, control: (spec) => startFreeRunning({ model, threads }, spec) };
  }
  if (control === "service") {
    const changed = { ...settings, ...controlSettings };
    const name = Object.entries(controlSettings ?? {})
      .map(([key, value]) => `${key}=${value}`)
      .join(" ");
    return {
      service,
      control: (spec) => startServiceTarget({ model, threads, settings: changed, name }, spec),
    };
  }
  if (binary === null) return { service, control: null };
  return { service, control: (spec) => startLlamaServer({ binary, model, threads }, spec) };
}

/** The llama-server to compare with; null if there is none. @throws Error if LLAMA_SERVER_BIN names no file. */
function llamaServerFacts(alone: boolean): { binary: string; version: string } | null {
  const binary = process.env["LLAMA_SERVER_BIN"];
  if (binary === undefined || binary === "" || alone) return null;
  if (!existsSync(binary)) throw new Error(`LLAMA_SERVER_BIN=${binary} does not exist.`);
  const { stdout, stderr } = spawnSync(binary, ["--version"], { encoding: "utf8" });
  const version = /version: .*/.exec(`${stdout}${stderr}`)?.[0] ?? "version unknown";
  return { binary, version: `llama-server ${version}` };
}

function verdictsOf(done: readonly ScenarioResult[]): Verdict[] {
  return done.flatMap(({ cases }) => cases.flatMap(({ verdicts }) => verdicts));
}

function summaryOf({ scenarios: chosen, ...rest }: EngineBenchOptions): object {
  return { ...rest, scenarios: chosen.map(({ name, full, quick }) => ({ name, full, quick })) };
}

/** Writes the result file, and a plot beside it if `trade` was measured. @returns the path of the result file */
function save(options: EngineBenchOptions, done: readonly ScenarioResult[], facts: object): string {
  const names = options.scenarios.length > 2 ? "all" : options.scenarios.map(({ name }) => name).join("+");
  const model = /^[\w-]+$/.test(options.model) ? options.model : "file";
  const name = `${options.out ?? `bench-engine-${names}-${model}`}.json`;
  mkdirSync(results, { recursive: true });
  writeFileSync(join(results, name), `${JSON.stringify({ bench: "engine", ...facts, done }, null, 2)}\n`);
  const plot = tradePlot(done.flatMap(({ cases }) => cases));
  if (plot !== null) writeFileSync(join(results, name.replace(/json$/, "svg")), plot);
  return join("test-results", name);
}
