import type { ClientEnvironment } from "./client-events.ts";
import type { Endpoint } from "./connection.ts";

/** How a server received a new identity. The code and the reason are those of the close frame. */
export type ProbeResult =
  | { readonly accepted: true }
  | { readonly accepted: false; readonly code: number; readonly reason: string };

/** Milliseconds until a server that has sent nothing counts as unreachable. */
const PROBE_MS = 15_000;

/** Checks with a socket of its own whether the server accepts an endpoint's token. Changes nothing else. */
export function probeEndpoint(
  { url, token }: Endpoint,
  environment: Pick<ClientEnvironment, "openSocket" | "after">,
): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const end = (result: ProbeResult): void => {
      stopTimer();
      socket.close();
      resolve(result);
    };
    const stopTimer = environment.after(PROBE_MS, () => end({ accepted: false, code: 1006, reason: "" }));
    const protocols = token === undefined ? ["chat.v1"] : ["chat.v1", `bearer.${token}`];
    const socket = environment.openSocket(url, protocols, {
      // The first frame is the welcome.
      message: () => end({ accepted: true }),
      close: (code, reason) => end({ accepted: false, code, reason }),
    });
  });
}
