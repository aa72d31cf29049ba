import { once } from "node:events";
import { request } from "node:http";

/**
 * Waits until the HTTP server on a port of 127.0.0.1 has read all bytes that the kernel had received for it at the time
 * of the call. A pause would not guarantee that on a busy machine.
 *
 * A server accepts connections in order. The first reply therefore means that it has accepted every earlier
 * connection, and the second reply that it has read what those had sent.
 */
export async function serverTurn(port: number): Promise<void> {
  for (let turn = 0; turn < 2; turn++) {
    const asked = request({ port, host: "127.0.0.1", path: "/server-turn", agent: false }).end();
    const [response] = (await once(asked, "response")) as [NodeJS.ReadableStream];
    await once(response.resume(), "end");
  }
}
