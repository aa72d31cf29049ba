import { attacks } from "./attacks.ts";
import { cuts } from "./cuts.ts";
import { drain } from "./drain.ts";
import { engineSoak } from "./engine-soak.ts";
import { overload } from "./overload.ts";
import type { LoadProgram } from "./program.ts";
import { sessions } from "./sessions.ts";
import { soak } from "./soak.ts";
import { stalled } from "./stalled.ts";

/** The load programs that need no k6, by name. */
export const programs: Readonly<Record<string, LoadProgram>> = {
  attacks,
  cuts,
  stalled,
  drain,
  overload,
  sessions,
  soak,
  "engine-soak": engineSoak,
};
