import type { ConnectPlan } from "./connect-client.ts";
import type { IdlePlan } from "./idle-client.ts";
import type { PingPlan } from "./ping-client.ts";
import type { StreamPlan } from "./stream-client.ts";

/** What a client process does, by kind. */
export type LoadPlan = PingPlan | ConnectPlan | StreamPlan | IdlePlan;
