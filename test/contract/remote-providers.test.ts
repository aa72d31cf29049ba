import { slowDrip, whole } from "../support/fault-scripts.ts";
import { startFaultServer, type SeenRequest } from "../support/fault-server.ts";
import { remoteNames, remoteProvider, type RemoteName } from "../support/remote-provider.ts";
import { providerContract, type ProviderUnderTest } from "./provider-contract.ts";
import { windowContract } from "./provider-window.ts";

function tokensOf(request: SeenRequest): string[] {
  if ("response_format" in request.body) return ['{"mood"', ":", '"good"}'];
  return request.body.messages?.at(-1)?.content.match(/\s*\S+\s*$|\s*\S+/gu) ?? ["?"];
}

async function make(name: RemoteName): Promise<ProviderUnderTest> {
  const server = await startFaultServer();
  server.play((request) => whole(tokensOf(request)));
  return {
    provider: remoteProvider(name, server.baseUrl),
    slow: () => server.play((request) => slowDrip(25, [...tokensOf(request), ..." and so on".repeat(20)])),
    upstreamStopped: async () => {
      const last = server.requests.at(-1);
      if (last === undefined) throw new Error("no request arrived");
      await last.over;
      if (!last.abandoned) throw new Error("the request ran to its end");
    },
    close: () => server.close(),
  };
}

for (const name of remoteNames) {
  providerContract(name, () => make(name));
  windowContract(name, () => make(name));
}
