import type { CommandResult } from "../../src/protocol/server-frames.ts";
import { randomId } from "./browser-environment.ts";
import type { ChatClient } from "./chat-client.ts";

/**
 * Runs a command outside the visible conversation: in one of its own, so that it does not wait behind a long answer.
 * A failure is a result with `status: "error"` like any other.
 */
export function ask(client: ChatClient, text: string): Promise<CommandResult> {
  return new Promise((resolve) => {
    const id = randomId();
    const leave = client.subscribe((event) => {
      if (!("id" in event) || event.id !== id) return;
      switch (event.type) {
        case "result":
          resolve(event.frame.result);
          break;
        case "failed":
          resolve({ status: "error", message: event.message });
          break;
        case "withdrawn":
          resolve({ status: "error", message: "Given up." });
          break;
        default:
          return;
      }
      leave();
    });
    // After the listener: a text that is too long fails on the spot.
    client.send({ id, text, conversation: "page-panel" });
  });
}
