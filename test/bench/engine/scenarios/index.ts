import type { AnyScenario } from "../scenario.ts";
import { burstScenario } from "./burst.ts";
import { cancelScenario } from "./cancel.ts";
import { closedLoopScenario, freeRunningScenario } from "./closed-loop.ts";
import { etaScenario } from "./eta.ts";
import { fairnessScenario } from "./fairness.ts";
import { longPromptsScenario } from "./long-prompts.ts";
import { lookupScenario } from "./lookup.ts";
import { poissonScenario, tradeScenario } from "./poisson.ts";
import {
  returningUsersScenario,
  crowdScenario,
  preemptionScenario,
  sharedSystemScenario,
} from "./shared-system.ts";

/** All scenarios, in the order of a full run. */
export const scenarios: readonly AnyScenario[] = [
  closedLoopScenario,
  freeRunningScenario,
  burstScenario,
  poissonScenario,
  returningUsersScenario,
  crowdScenario,
  longPromptsScenario,
  sharedSystemScenario,
  preemptionScenario,
  lookupScenario,
  cancelScenario,
  fairnessScenario,
  etaScenario,
  tradeScenario,
];
