import { ConnectClient } from "./connect-client.ts";
import { IdleClient } from "./idle-client.ts";
import type { Counted, LoadClient, RunParameters } from "./load-client.ts";
import type { LoadPlan } from "./load-plan.ts";
import { PingClient } from "./ping-client.ts";
import { StreamClient } from "./stream-client.ts";

/** Command of the bench to a client process. Each gets one {@link ClientReply}. */
export type ClientCommand =
  | { readonly type: "open"; readonly plan: LoadPlan }
  | ({ readonly type: "run" } & RunParameters);

export type ClientReply =
  | { readonly type: "opened" }
  | ({ readonly type: "ran" } & Counted)
  | { readonly type: "failed"; readonly message: string };

/** The load client of this process, which executes commands until its fork channel closes. */
let client: LoadClient | null = null;

/** The first failure. Every later command fails with it. */
let failure: string | null = null;

process.on("message", (command: ClientCommand) => {
  execute(command).then(reply, (error: unknown) => fail(error));
});
process.on("disconnect", () => process.exit(0));

async function execute(command: ClientCommand): Promise<ClientReply> {
  if (failure !== null) throw new Error(failure);
  if (command.type === "open") {
    client = clientOf(command.plan);
    await client.open();
    return { type: "opened" };
  }
  if (client === null) throw new Error("no sockets are open");
  return { type: "ran", ...(await client.run(command)) };
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

function reply(message: ClientReply): void {
  process.send?.(message);
}

function fail(error: unknown): void {
  failure ??= error instanceof Error ? error.message : String(error);
  reply({ type: "failed", message: failure });
}
