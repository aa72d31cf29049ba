import { ConnectClient } from "./connect-client.ts";
import { IdleClient } from "./idle-client.ts";
import type { Counted, LoadClient, LoadPlan, RunOrder } from "./load-client.ts";
import { PingClient } from "./ping-client.ts";
import { StreamClient } from "./stream-client.ts";

/** What the bench tells a client process; each is answered by one {@link ClientReply}. */
export type ClientOrder =
  | { readonly type: "open"; readonly plan: LoadPlan }
  | ({ readonly type: "run" } & RunOrder);

export type ClientReply =
  | { readonly type: "opened" }
  | ({ readonly type: "ran" } & Counted)
  | { readonly type: "failed"; readonly message: string };

/** Process of one load client: takes orders over the fork channel until that closes. */
let client: LoadClient | null = null;

/** The first thing that went wrong; from then on every order fails with it. */
let failure: string | null = null;

process.on("message", (order: ClientOrder) => {
  obey(order).then(tell, (error: unknown) => fail(error));
});
process.on("disconnect", () => process.exit(0));

async function obey(order: ClientOrder): Promise<ClientReply> {
  if (failure !== null) throw new Error(failure);
  if (order.type === "open") {
    client = clientOf(order.plan);
    await client.open();
    return { type: "opened" };
  }
  if (client === null) throw new Error("no sockets are open");
  return { type: "ran", ...(await client.run(order)) };
}

function clientOf(plan: LoadPlan): LoadClient {
  switch (plan.kind) {
    case "ping":
      return new PingClient(plan, fail);
    case "connect":
      return new ConnectClient(plan, fail);
    case "stream":
      return new StreamClient(plan, fail);
    case "idle":
      return new IdleClient(plan, fail);
  }
}

function tell(reply: ClientReply): void {
  process.send?.(reply);
}

function fail(error: unknown): void {
  failure ??= error instanceof Error ? error.message : String(error);
  tell({ type: "failed", message: failure });
}
