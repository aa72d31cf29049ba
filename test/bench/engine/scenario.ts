import type { ChatTarget, TargetSpec } from "./chat-target.ts";
import type { Bar } from "./load/bars.ts";
import type { Figures } from "./load/figures.ts";

/** What may be changed in a scenario, by name. All values are numbers above or equal to 0. */
export type Sizes = Readonly<Record<string, number>>;

/** One thing to measure on servers of one kind of start. */
export interface Case {
  readonly name: string;
  readonly spec: TargetSpec;
  /** The control is the service with these settings instead; only for scenarios whose control is `service`. */
  readonly controlSettings?: Readonly<Record<string, string>>;
  /** Each run begins with servers just started, and one chat in them: what a run leaves would help the next. */
  readonly fresh: boolean;
  readonly bars: readonly Bar[];
  /** Measured once before the first run, on the control where there is one; what it gives is handed to each run. */
  readonly calibrate?: (target: ChatTarget) => Promise<Figures>;
  /** Equal seeds give equal prompts: both servers of a pair get the same. */
  run(target: ChatTarget, seed: number, calibrated: Figures): Promise<Figures>;
}

export type ControlKind = "llama-server" | "free-running" | "service" | "none";

export interface Scenario<S extends Sizes = Sizes> {
  readonly name: string;
  /** One line for the usage. */
  readonly about: string;
  /** `service`: the service with other settings; `none`: the service is measured against itself. */
  readonly control: ControlKind;
  /** Pairs, or runs where there is no control. */
  readonly pairs: number;
  readonly full: S;
  /** For a first look and for tests: seconds on a tiny model, figures worth nothing. */
  readonly quick: S;
  /** Settings without which the service cannot be measured so. */
  readonly needs?: readonly string[];
  cases(sizes: S): readonly Case[];
}

/** A scenario whose sizes are checked by their names when they are set. */
export interface AnyScenario extends Omit<Scenario, "cases"> {
  cases(sizes: Sizes): readonly Case[];
}

/** Keeps the names of the sizes inside the scenario. */
export function defineScenario<S extends Sizes>(scenario: Scenario<S>): AnyScenario {
  return { ...scenario, cases: (sizes) => scenario.cases(sizes as S) };
}

export const PLAIN_SYSTEM = "You are a helpful assistant.";

/** Enough for every prompt and answer of the scenarios that say nothing else. */
export const WINDOW = 2048;
