import type { ClientEnvironment } from "./client-events.ts";
import type { Endpoint } from "./connection.ts";

/** Whether a server accepts a token. The code and the reason are those of the close frame. */
export type ProbeResult =
  | { readonly accepted: true }
  | { readonly accepted: false; readonly code: number; readonly reason: string };

/** Milliseconds without a frame after which the server counts as unreachable. */
const PROBE_MS = 15_000;

/** Opens a separate socket to check whether the server accepts an endpoint's token, and closes it again. */
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
