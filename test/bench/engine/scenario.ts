import type { ChatTarget, TargetSpec } from "./chat-target.ts";
import type { Bar } from "./load/bars.ts";
import type { Figures } from "./load/figures.ts";

/** Sizes of a scenario that an option can change, by name. All values are numbers ≥ 0. */
export type Sizes = Readonly<Record<string, number>>;

/** One measurement, with the server configuration that it needs. */
export interface Case {
  readonly name: string;
  readonly spec: TargetSpec;
  /** Settings of the control, instead of those of `spec`. Only for scenarios whose control is `service`. */
  readonly controlSettings?: Readonly<Record<string, string>>;
  /**
   * Start the servers again for each run, since state left by one run would help the next. A warm-up chat still runs.
   */
  readonly fresh: boolean;
  readonly bars: readonly Bar[];
  /** Runs once before the first run, on the control if there is one. The result is passed to each run. */
  readonly calibrate?: (target: ChatTarget) => Promise<Figures>;
  /** Equal seeds give equal prompts, so both servers of a pair get the same ones. */
  run(target: ChatTarget, seed: number, calibrated: Figures): Promise<Figures>;
}

export type ControlKind = "llama-server" | "free-running" | "service" | "none";

export interface Scenario<S extends Sizes = Sizes> {
  readonly name: string;
  /** One line for the usage text. */
  readonly about: string;
  /** `service`: the service with other settings. `none`: bars apply to the service's own figures only. */
  readonly control: ControlKind;
  /** Number of pairs, or of runs if there is no control. */
  readonly pairs: number;
  readonly full: S;
  /** Sizes for tests: seconds on a tiny model. The figures mean nothing. */
  readonly quick: S;
  /** Settings that the service must have for this scenario. */
  readonly needs?: readonly string[];
  cases(sizes: S): readonly Case[];
}

/** A scenario with untyped sizes. Their names are checked when the options are read. */
export interface AnyScenario extends Omit<Scenario, "cases"> {
  cases(sizes: Sizes): readonly Case[];
}

/** Hides the type of the sizes, so that scenarios with different sizes fit into one list. */
export function defineScenario<S extends Sizes>(scenario: Scenario<S>): AnyScenario {
  return { ...scenario, cases: (sizes) => scenario.cases(sizes as S) };
}

/** System text of scenarios that need no particular one. */
export const PLAIN_SYSTEM = "You are a helpful assistant.";

/** Context window in tokens per slot, large enough for every prompt and answer of the scenarios that use it. */
export const WINDOW = 2048;
