import { cuts } from "./cuts.ts";
import type { LoadProgram } from "./program.ts";
import { soak } from "./soak.ts";
import { stalled } from "./stalled.ts";

/** The programs that need no k6, by name. */
export const programs: Readonly<Record<string, LoadProgram>> = { cuts, soak, stalled };
