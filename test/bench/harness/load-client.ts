import type { ConnectPlan } from "./connect-client.ts";
import type { IdlePlan } from "./idle-client.ts";
import type { PingPlan } from "./ping-client.ts";
import type { StreamPlan } from "./stream-client.ts";

/** What a client process does, by kind. */
export type LoadPlan = PingPlan | ConnectPlan | StreamPlan | IdlePlan;

/** One run. */
export interface RunOrder {
  readonly ms: number;
  /** Frames and bytes that a yardstick is to send, over all sockets. */
  readonly frames?: number;
  readonly bytes?: number;
}

/** What came in a run. */
export interface Counted {
  readonly replies: number;
  readonly frames: number;
  /** Of the frames' payloads; 0 where nobody asks. */
  readonly bytes: number;
}

/** One load client, in a process of its own. */
export interface LoadClient {
  /** Makes everything ready for {@link run}. */
  open(): Promise<void>;
  /** Asks for `ms` and waits for every reply. Resolves with what was received, every reply checked. */
  run(order: RunOrder): Promise<Counted>;
}
