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
  comeBackScenario,
  crowdScenario,
  preemptionScenario,
  sharedSystemScenario,
} from "./shared-system.ts";

/** All scenarios, in the order in which a full run goes through them. */
export const scenarios: readonly AnyScenario[] = [
  closedLoopScenario,
  freeRunningScenario,
  burstScenario,
  poissonScenario,
  comeBackScenario,
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
