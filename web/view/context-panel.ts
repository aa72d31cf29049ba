import { runCommand } from "../client/run-command.ts";
import type { ChatClient } from "../client/chat-client.ts";
import { quoteValue } from "./command-hints.ts";
import { find } from "./dom.ts";

/** The dialog that shows and edits the context. */
export class ContextPanel {
  readonly #client: ChatClient;
  readonly #dialog = find("context-dialog", HTMLDialogElement);
  readonly #box = find("context-text", HTMLTextAreaElement);
  readonly #status = find("context-status", HTMLElement);
  readonly #save = find("context-save", HTMLButtonElement);
  readonly #clear = find("context-clear", HTMLButtonElement);
  /** Context stored on the server, as of the last reply. */
  #stored = "";

  constructor(client: ChatClient) {
    this.#client = client;
    find("context-open", HTMLButtonElement).addEventListener("click", () => void this.#open());
    this.#save.addEventListener("click", () => void this.#store());
    this.#clear.addEventListener("click", () => void this.#forget());
    this.#box.addEventListener("input", () => this.#showButtons());
  }

  async #open(): Promise<void> {
    this.#dialog.showModal();
    this.#box.value = "";
    await this.#busy("Loading…", async () => {
      const result = await runCommand(this.#client, "/getcontext");
      if (result.status === "error") return String(result["message"]);
      this.#stored = typeof result["context"] === "string" ? result["context"] : "";
      this.#box.value = this.#stored;
      return this.#stored === "" ? "No context is set." : "";
    });
    this.#box.focus();
  }

  async #store(): Promise<void> {
    const text = this.#box.value;
    await this.#busy("Saving…", async () => {
      const result = await runCommand(this.#client, `/setcontext text=${quoteValue(text)}`);
      if (result.status === "error") return String(result["message"]);
      this.#stored = text;
      const tokens = result["tokens"];
      return typeof tokens === "number" ? `Saved: ${tokens} tokens.` : "Saved.";
    });
  }

  async #forget(): Promise<void> {
    await this.#busy("Clearing…", async () => {
      const result = await runCommand(this.#client, "/clearcontext");
      if (result.status === "error") return String(result["message"]);
      this.#stored = "";
      this.#box.value = "";
      return "The context was cleared.";
    });
    this.#box.focus();
  }

  async #busy(status: string, work: () => Promise<string>): Promise<void> {
    this.#box.readOnly = true;
    this.#save.disabled = this.#clear.disabled = true;
    this.#status.textContent = this.#client.state.phase === "open" ? status : "Waiting for the connection…";
    this.#status.textContent = await work();
    this.#box.readOnly = false;
    this.#showButtons();
  }

  #showButtons(): void {
    const text = this.#box.value;
    this.#save.disabled = text.trim() === "" || text === this.#stored;
    this.#clear.disabled = this.#stored === "";
  }
}
