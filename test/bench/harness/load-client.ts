import type { ConnectPlan } from "./connect-client.ts";
import type { PingPlan } from "./ping-client.ts";

/** What a client process does, by kind. */
export type LoadPlan = PingPlan | ConnectPlan;

/** One load client, in a process of its own. */
export interface LoadClient {
  /** Makes everything ready for {@link run}. */
  open(): Promise<void>;
  /** Asks for `ms` and waits for every reply. Resolves with the replies received, each of them checked. */
  run(ms: number): Promise<number>;
}
