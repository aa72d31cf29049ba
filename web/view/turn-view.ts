import type {
  FallbackFrame,
  HistoryCutFrame,
  ProgressFrame,
  QueuedFrame,
} from "../../src/protocol/server-frames.ts";
import { commandName } from "./command-hints.ts";
import { make, makeButton, makeCopyButton, screenReaderText } from "./dom.ts";
import { GrowingMarkdown } from "../markdown/growing-markdown.ts";
import { drawResult, resultAsText } from "./draw-result.ts";
import { ReasoningView } from "./reasoning-view.ts";
import type { Turn } from "../client/transcript.ts";
import { showTree } from "./show-tree.ts";
import { describeEmptyAnswer, describeFacts, describeQueue } from "./status-text.ts";

export interface TurnActions {
  retry(turn: Turn): void;
  /** Puts `text` into the message box. */
  edit(text: string): void;
}

/** Shows one message and its answer. */
export class TurnView {
  readonly node: HTMLElement;
  readonly #turn: Turn;
  readonly #actions: TurnActions;
  readonly #reasoning = new ReasoningView();
  readonly #wait = make("p", "wait");
  readonly #prose = make("div", "prose");
  readonly #markdown = new GrowingMarkdown();
  readonly #reply: HTMLElement;
  readonly #cut = make("p", "aside");
  readonly #tail = make("div", "tail");
  #stopCountdown: () => void = () => {};

  constructor(turn: Turn, actions: TurnActions) {
    this.#turn = turn;
    this.#actions = actions;
    const message = make("div", "user-message", screenReaderText("You: "), turn.text);
    message.dir = "auto";
    message.hidden = turn.text === "";
    if (commandName(turn.text) !== undefined) message.classList.add("command");
    this.#cut.hidden = true;
    this.#reply = make("div", "reply", screenReaderText("Answer: "));
    this.#reply.append(this.#cut, this.#reasoning.node, this.#wait, this.#prose, this.#tail);
    this.node = make("article", "turn", message, this.#reply);
    this.showStatus(turn.reasoning === undefined ? "" : "Thinking");
    this.show();
  }

  /** Shows why the answer has no text yet. */
  showStatus(status: string): void {
    this.#wait.replaceChildren(make("span", "dots", make("i"), make("i"), make("i")), status);
  }

  queued(frame: QueuedFrame): void {
    this.showStatus(describeQueue(frame));
  }

  progress({ processed, total }: ProgressFrame): void {
    // The prompt is processed: these frames only show that the model is at work.
    if (this.#turn.reasoning !== undefined) return;
    const percent = total > 0 ? Math.min(100, Math.round((processed / total) * 100)) : 0;
    this.showStatus(`Reading your text, ${percent}%`);
  }

  fallback({ to_provider: to }: FallbackFrame): void {
    this.#tail.before(make("p", "aside", `Switched to another AI service (${to}).`));
  }

  /** Shows that earlier messages were left out. The frame is sent again when an answer is resumed at its start. */
  historyCut({ message }: HistoryCutFrame): void {
    this.#cut.textContent = message;
    this.#cut.hidden = false;
  }

  /** Redraws from the turn. Growing text is cheap, because DOM nodes that are still right are kept. */
  show(): void {
    const { status, content, reasoning, command, result } = this.#turn;
    const pending = status === "pending";
    this.node.dataset["status"] = status;
    this.#reply.setAttribute("aria-busy", String(pending));
    this.#reasoning.show(reasoning ?? "");
    this.#wait.hidden = !pending || content !== "";
    this.#prose.classList.toggle("growing", pending && content !== "");
    if (result === undefined || command === undefined) {
      const { blocks, unchanged } = this.#markdown.update(content, !pending);
      showTree(this.#prose, blocks, unchanged);
    } else {
      this.#prose.replaceChildren(drawResult(command, result, (text) => this.#actions.edit(text)));
    }
    if (!pending || this.#tail.childElementCount > 0) this.#showTail();
  }

  #showTail(): void {
    this.#stopCountdown();
    const { status, failure, facts, content, result, command } = this.#turn;
    const rows: HTMLElement[] = [];
    if (status === "failed" && failure !== undefined) rows.push(this.#drawFailure());
    if (status === "stopped" && facts === undefined)
      rows.push(make("p", "facts", make("span", "", "Stopped")));
    const empty = describeEmptyAnswer(this.#turn);
    if (empty !== undefined) rows.push(make("p", "aside", empty));
    if (facts !== undefined || content !== "" || result?.status === "success") {
      const labels = facts === undefined ? [] : describeFacts(facts);
      const spans = labels.map((label) => make("span", label === facts?.model ? "model" : "", label));
      const row = make("p", "facts", ...spans);
      const text = (): string =>
        result === undefined ? this.#turn.content : resultAsText(command ?? "", result);
      if (status !== "pending" && text() !== "") row.append(makeCopyButton(text));
      rows.push(row);
    }
    this.#tail.replaceChildren(...(status === "pending" ? [] : rows));
  }

  #drawFailure(): HTMLElement {
    const { failure, text } = this.#turn;
    const row = make("div", "fault", make("p", "", failure?.message ?? ""));
    row.setAttribute("role", "alert");
    if (failure?.retryable === true) {
      const retry = makeButton("small", "Retry", () => this.#actions.retry(this.#turn));
      this.#countDown(retry, failure.retryAt);
      row.append(retry);
    } else {
      row.append(makeButton("small", "Edit", () => this.#actions.edit(text)));
    }
    return row;
  }

  /** Disables `button` until `retryAt` (milliseconds since the epoch) and shows the remaining seconds. */
  #countDown(button: HTMLButtonElement, retryAt: number | undefined): void {
    if (retryAt === undefined) return;
    const show = (): void => {
      const seconds = Math.ceil((retryAt - Date.now()) / 1000);
      button.disabled = seconds > 0;
      button.textContent = seconds > 0 ? `Retry in ${seconds} s` : "Retry";
      if (seconds <= 0) this.#stopCountdown();
    };
    const timer = setInterval(show, 500);
    this.#stopCountdown = () => clearInterval(timer);
    show();
  }
}
