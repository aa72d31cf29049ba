import type { HistoryReplyFrame } from "../../src/protocol/server-frames.ts";
import type { TabValue } from "../client/browser-environment.ts";
import type { ChatClient } from "../client/chat-client.ts";
import type { ClientEvent } from "../client/client-events.ts";
import { expandShorthand } from "./command-hints.ts";
import { Composer } from "./composer.ts";
import { find } from "./dom.ts";
import { reconcile } from "../client/reconcile.ts";
import { resultAsText } from "./draw-result.ts";
import { ThreadView } from "./thread-view.ts";
import { describeEmptyAnswer } from "./status-text.ts";
import { packTranscript, unpackTranscript, type Entry, type Turn } from "../client/transcript.ts";

export interface ConversationOptions {
  /** Storage for the transcript, which survives a reload. */
  readonly saved: TabValue;
  /** Returns a new id for a message or a conversation. */
  newId(): string;
  isAnonymous(): boolean;
}

/** The visible conversation. Sends what the user types as messages, and shows the events of the client as turns. */
export class Conversation {
  readonly #client: ChatClient;
  readonly #options: ConversationOptions;
  readonly #thread: ThreadView;
  readonly #composer: Composer;
  readonly #welcome = find("welcome", HTMLElement);
  readonly #announcer = find("announcer", HTMLElement);
  #name: string;
  #entries: Entry[] = [];

  constructor(client: ChatClient, options: ConversationOptions) {
    this.#client = client;
    this.#options = options;
    this.#name = options.newId();
    this.#thread = new ThreadView(
      find("scroller", HTMLElement),
      find("thread", HTMLElement),
      find("jump", HTMLButtonElement),
      { retry: (turn) => this.#retry(turn), edit: (text) => this.#composer.write(text) },
    );
    this.#composer = new Composer({
      send: (text) => this.#submit(text),
      stop: () => this.#stopAll(),
      lastSent: () => this.#turns().at(-1)?.text,
    });
    this.#restore();
    this.#offerExamples();
    client.subscribe((event) => this.#on(event));
    window.addEventListener("pagehide", () => this.#save());
    // On a phone the focus would open the on-screen keyboard.
    if (matchMedia("(pointer: fine)").matches) this.#composer.focus();
  }

  /** Starts an empty conversation and stops all running answers. */
  begin(): void {
    this.#stopAll();
    this.#entries = [];
    this.#name = this.#options.newId();
    this.#thread.clear();
    this.#changed();
    this.#composer.focus();
  }

  #submit(typed: string): void {
    const text = expandShorthand(typed);
    const turn = this.#makeTurn(this.#options.newId(), text);
    this.#add(turn);
    this.#thread.follow();
    this.#transmit(turn);
    this.#changed();
  }

  #makeTurn(id: string, text: string): Turn {
    return { kind: "turn", id, conversation: this.#name, text, status: "pending", content: "" };
  }

  #transmit(turn: Turn): void {
    if (this.#client.state.phase !== "open")
      this.#thread.view(turn)?.showStatus("Waiting for the connection");
    this.#client.send({ id: turn.id, text: turn.text, conversation: turn.conversation });
  }

  #retry(turn: Turn): void {
    turn.id = this.#options.newId();
    turn.status = "pending";
    turn.content = "";
    turn.answer = turn.reasoning = turn.failure = turn.facts = turn.result = turn.command = undefined;
    this.#thread.view(turn)?.showStatus("");
    this.#thread.refresh(turn);
    this.#transmit(turn);
    this.#changed();
    this.#composer.focus();
  }

  /** Stops the latest message first. Otherwise a queued message would start when the one before it is stopped. */
  #stopAll(): void {
    const pending = this.#turns().filter(({ status }) => status === "pending");
    for (const { id } of pending.toReversed()) this.#client.cancel(id);
  }

  #on(event: ClientEvent): void {
    if (event.type === "notice") {
      this.#add({ kind: "divider", text: event.frame.message });
    } else if (event.type === "session") {
      this.#onSession(event.outcome);
    } else if (event.type === "history") {
      this.#onHistory(event.frame);
    } else if ("id" in event) {
      const turn = this.#turns().find(({ id }) => id === event.id);
      if (turn !== undefined) this.#onTurn(turn, event);
    }
  }

  #onTurn(turn: Turn, event: ClientEvent & { readonly id: string }): void {
    switch (event.type) {
      case "text":
        turn.answer = event.answer;
        turn.content = event.restart ? event.delta : turn.content + event.delta;
        if (event.restart) turn.reasoning = undefined;
        this.#thread.refresh(turn);
        return;
      case "reasoning":
        turn.answer = event.answer;
        if (event.restart) turn.content = "";
        if (event.restart || turn.reasoning === undefined) this.#thread.view(turn)?.showStatus("Thinking");
        turn.reasoning = event.restart ? event.delta : (turn.reasoning ?? "") + event.delta;
        this.#thread.refresh(turn);
        return;
      case "queued":
        turn.answer = event.frame.answer;
        this.#thread.view(turn)?.queued(event.frame);
        return;
      case "progress":
        this.#thread.view(turn)?.progress(event.frame);
        return;
      case "fallback":
        this.#thread.view(turn)?.fallback(event.frame);
        return;
      case "history_cut":
        this.#thread.view(turn)?.historyCut(event.frame);
        return;
      case "answer":
      case "result":
        this.#finish(turn, event);
        return;
      case "withdrawn":
        turn.status = "stopped";
        break;
      case "failed": {
        const { code, message, retryable, retryAfterMs } = event;
        const delay = retryAfterMs === undefined ? {} : { retryAt: Date.now() + retryAfterMs };
        turn.status = "failed";
        turn.failure = { code, message, retryable: retryable && turn.text !== "", ...delay };
        break;
      }
      default:
        return;
    }
    this.#thread.refresh(turn);
    this.#changed();
  }

  #finish(turn: Turn, event: ClientEvent & { readonly type: "answer" | "result" }): void {
    if (event.type === "answer") {
      const { content, finish_reason: finishReason, usage, timings, model } = event.frame;
      turn.content = content;
      turn.facts = { finishReason, usage, timings, model };
      turn.status = finishReason === "cancelled" ? "stopped" : "done";
      this.#announce(describeEmptyAnswer(turn) ?? content);
    } else {
      const { command, result, usage, finish_reason: finishReason } = event.frame;
      const stopped = finishReason === "cancelled";
      turn.status = stopped ? "stopped" : "done";
      if (!stopped) {
        turn.command = command;
        turn.result = result;
        if (finishReason !== undefined) turn.facts = { finishReason, ...(usage && { usage }) };
        this.#announce(resultAsText(command, result));
        if (command.endsWith("clear") && result.status === "success") {
          this.#add({ kind: "divider", text: "The model no longer remembers the messages above" });
        }
      }
    }
    this.#thread.refresh(turn);
    this.#changed();
  }

  /** Marks the loss of an anonymous session. The server deletes all data of an anonymous client with its session. */
  #onSession(outcome: "new" | "resumed" | "lost"): void {
    if (outcome !== "lost" || !this.#options.isAnonymous() || this.#entries.length === 0) return;
    if (this.#entries.at(-1)?.kind === "divider") return;
    const text = "The server no longer has the messages above or your context";
    const waiting = this.#entries.findIndex((entry) => entry.kind === "turn" && entry.status === "pending");
    if (waiting === 0) return;
    if (waiting === -1) {
      this.#add({ kind: "divider", text });
    } else {
      this.#entries.splice(waiting, 0, { kind: "divider", text });
      this.#redraw();
    }
  }

  #turns(): Turn[] {
    return this.#entries.filter((entry) => entry.kind === "turn");
  }

  #add(entry: Entry): void {
    this.#entries.push(entry);
    this.#thread.add(entry);
    this.#changed();
  }

  #redraw(): void {
    this.#thread.clear();
    for (const entry of this.#entries) this.#thread.add(entry);
    this.#changed();
  }

  #changed(): void {
    this.#composer.showRunning(this.#turns().some(({ status }) => status === "pending"));
    this.#welcome.hidden = this.#entries.length > 0;
    this.#save();
  }

  #save(): void {
    this.#options.saved.save(packTranscript({ conversation: this.#name, entries: this.#entries }));
  }

  /** Shows the conversation from before a reload, and passes its unfinished messages to the client. */
  #restore(): void {
    const saved = unpackTranscript(this.#options.saved.load());
    if (saved === undefined) return;
    this.#name = saved.conversation;
    this.#entries = [...saved.entries];
    const pending = this.#turns().filter(({ status }) => status === "pending");
    this.#client.restore(
      this.#name,
      pending.map(({ id, text, answer, content, reasoning }) => ({
        id,
        text: text === "" ? undefined : text,
        partial: answer === undefined ? { text: "" } : { answer, text: content, reasoning },
      })),
    );
    for (const turn of pending) {
      if (turn.answer !== undefined) continue;
      turn.content = "";
      turn.reasoning = undefined;
    }
    this.#redraw();
  }

  /** Adds what happened since the page was left: answers that ended, and messages from other tabs. */
  #onHistory(history: HistoryReplyFrame): void {
    if (history.conversation !== this.#name) return;
    const { finished, missing, running } = reconcile(this.#turns(), history);
    for (const { turn, content } of finished) {
      this.#client.markAnswered(turn.id);
      turn.content = content;
      turn.status = "done";
    }
    const fromOtherTabs = missing.map(({ text, content }): Turn => ({
      ...this.#makeTurn(this.#options.newId(), text),
      content,
      status: "done",
    }));
    const waiting = this.#entries.findIndex((entry) => entry.kind === "turn" && entry.status === "pending");
    this.#entries.splice(waiting === -1 ? this.#entries.length : waiting, 0, ...fromOtherTabs);
    for (const { id, answer } of running) this.#entries.push({ ...this.#makeTurn(id, ""), answer });
    this.#client.watch(this.#name, running);
    if (finished.length + fromOtherTabs.length + running.length > 0) this.#redraw();
  }

  /** Makes screen readers read a whole answer once instead of token by token. */
  #announce(text: string): void {
    this.#announcer.textContent = text;
  }

  #offerExamples(): void {
    for (const button of this.#welcome.querySelectorAll<HTMLButtonElement>("button[data-text]")) {
      button.addEventListener("click", () => this.#composer.write(button.dataset["text"] ?? ""));
    }
  }
}
