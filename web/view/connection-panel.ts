import { pastedToken } from "../client/pasted-token.ts";
import { TOKEN_SHAPE, type ChatClient } from "../client/chat-client.ts";
import { find, make } from "./dom.ts";
import { describeConnection, describePrivacy, readToken } from "./status-text.ts";

export interface ConnectionActions {
  /** The token in use, or null if the user is anonymous. */
  token(): string | null;
  /** Resolves to the reason why the token was refused; undefined if it is in use now. */
  useToken(token: string): Promise<string | undefined>;
  forgetToken(): void;
}

/** Shows the connection in three places: the pill in the header, the bar above the message box, and the dialog. */
export class ConnectionPanel {
  readonly #client: ChatClient;
  readonly #actions: ConnectionActions;
  readonly #pill = find("connection-open", HTMLButtonElement);
  readonly #bar = find("connection-bar", HTMLElement);
  readonly #barText = find("connection-detail", HTMLElement);
  readonly #barAction = find("connection-action", HTMLButtonElement);
  readonly #dialog = find("connection-dialog", HTMLDialogElement);
  readonly #facts = find("connection-facts", HTMLElement);
  readonly #tokenBox = find("token", HTMLInputElement);
  readonly #tokenState = find("token-state", HTMLElement);
  readonly #forget = find("token-forget", HTMLButtonElement);
  /** Whether a token is being checked. */
  #checking = false;

  constructor(client: ChatClient, actions: ConnectionActions) {
    this.#client = client;
    this.#actions = actions;
    this.#pill.addEventListener("click", () => this.open());
    this.#barAction.addEventListener("click", () => this.#act());
    this.#forget.addEventListener("click", () => {
      actions.forgetToken();
      this.#showToken();
      this.#tokenBox.focus();
    });
    find("token-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#useToken();
    });
    // Updates the countdown to the next attempt.
    setInterval(() => {
      if (client.state.phase === "waiting") this.show();
    }, 500);
    this.show();
  }

  open(): void {
    this.#showToken();
    this.#showFacts();
    if (!this.#dialog.open) this.#dialog.showModal();
  }

  /** Redraws everything from the state of the client. */
  show(): void {
    const text = describeConnection(this.#client.state, performance.now());
    const model = this.#client.welcome?.model;
    this.#pill.dataset["tone"] = text.tone;
    const label = text.tone === "good" && typeof model === "string" ? model : text.label;
    find("connection-label", HTMLElement).textContent = label;
    this.#pill.title = text.label;
    this.#bar.hidden = text.detail === "";
    this.#bar.dataset["tone"] = text.tone;
    if (this.#barText.textContent !== text.detail) this.#barText.textContent = text.detail;
    this.#barAction.hidden = text.action === "none";
    this.#barAction.textContent = text.action === "token" ? "Enter a token" : "Connect now";
    this.#showPrivacy();
    if (this.#dialog.open) this.#showFacts();
  }

  #act(): void {
    const { action } = describeConnection(this.#client.state, performance.now());
    if (action === "token") this.open();
    else this.#client.connect();
  }

  #showPrivacy(): void {
    const { welcome } = this.#client;
    const line = find("privacy", HTMLElement);
    line.hidden = welcome === undefined;
    line.dataset["leaves"] = String(welcome?.text_may_leave ?? false);
    find("privacy-text", HTMLElement).textContent = describePrivacy(welcome, location.hostname);
  }

  #showFacts(): void {
    const { welcome, state } = this.#client;
    const text = describeConnection(state, performance.now());
    const rows: [string, string][] = [["Status", `${text.label} ${text.detail}`.trim()]];
    if (welcome !== undefined) {
      rows.push(["Model", welcome.model ?? "none available right now"]);
      rows.push(["AI service", welcome.provider ?? "none available right now"]);
      rows.push(["Privacy", describePrivacy(welcome, location.hostname)]);
    }
    rows.push(["Address", this.#actions.token() === null ? "/ws/chat" : "/ws/chat/auth"]);
    this.#facts.replaceChildren(
      ...rows.flatMap(([name, value]) => [make("dt", "", name), make("dd", "", value)]),
    );
  }

  async #useToken(): Promise<void> {
    if (this.#checking) return;
    const token = pastedToken(this.#tokenBox.value);
    if (!TOKEN_SHAPE.test(token)) {
      this.#tokenState.textContent = "This is not a valid token. A token has three parts separated by dots.";
      this.#tokenBox.focus();
      return;
    }
    this.#checking = true;
    this.#tokenState.textContent = "Checking the token…";
    const refusal = await this.#actions.useToken(token).finally(() => {
      this.#checking = false;
    });
    if (refusal !== undefined) {
      this.#tokenState.textContent = refusal;
      this.#tokenBox.focus();
      return;
    }
    this.#tokenBox.value = "";
    this.#dialog.close();
  }

  #showToken(): void {
    const token = this.#actions.token();
    this.#forget.hidden = token === null;
    if (token === null) {
      this.#tokenState.textContent = "You are not signed in.";
      return;
    }
    const claims = readToken(token);
    if (claims === undefined) {
      this.#tokenState.textContent = "You are signed in with a token.";
      return;
    }
    const until = claims.expires === undefined ? "" : ` until ${claims.expires.toLocaleString()}`;
    this.#tokenState.textContent = `You are signed in as ${claims.subject}${until}.`;
  }
}
