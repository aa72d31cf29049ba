import type { CommandResult } from "../../src/protocol/server-frames.ts";
import { randomId } from "./browser-environment.ts";
import type { ChatClient } from "./chat-client.ts";

/**
 * Runs a command in a separate conversation, so that it does not wait for an answer in the visible one. Never rejects:
 * a failure is a result with `status: "error"`.
 */
export function runCommand(client: ChatClient, text: string): Promise<CommandResult> {
  return new Promise((resolve) => {
    const id = randomId();
    const unsubscribe = client.subscribe((event) => {
      if (!("id" in event) || event.id !== id) return;
      switch (event.type) {
        case "result":
          resolve(event.frame.result);
          break;
        case "failed":
          resolve({ status: "error", message: event.message });
          break;
        case "withdrawn":
          resolve({ status: "error", message: "Cancelled." });
          break;
        default:
          return;
      }
      unsubscribe();
    });
    // Subscribed first, because a text that is too long fails during this call.
    client.send({ id, text, conversation: "page-panel" });
  });
}
