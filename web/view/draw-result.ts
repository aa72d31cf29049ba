import type { CommandResult } from "../../src/protocol/server-frames.ts";
import { make } from "./dom.ts";

/** Draws the result of a command. A result of an unexpected shape is drawn as JSON. */
export function drawResult(
  command: string,
  result: CommandResult,
  onPick: (text: string) => void,
): HTMLElement {
  if (result.status === "error") {
    return make(
      "p",
      "fault",
      typeof result["message"] === "string" ? result["message"] : "The command failed.",
    );
  }
  switch (command.replace(/^\//, "")) {
    case "analyze":
      return drawAnalysis(result) ?? drawRaw(result);
    case "help":
      return drawHelp(result, onPick) ?? drawRaw(result);
    case "translate":
      return drawText(result["translation"], textOrNone(result["target_language"])) ?? drawRaw(result);
    case "summarize":
      return drawText(result["summary"], "Summary") ?? drawRaw(result);
    case "setcontext":
      return drawText(result["context"], contextLabel(result["tokens"])) ?? drawRaw(result);
    case "getcontext":
      if (result["context"] === null) return make("p", "plain", "No context is set.");
      return drawText(result["context"], "Context") ?? drawRaw(result);
    default:
      return drawText(result["message"], undefined) ?? drawRaw(result);
  }
}

/** Returns the result as plain text, for the clipboard and for screen readers. */
export function resultAsText(command: string, result: CommandResult): string {
  for (const field of ["translation", "summary", "context", "message"]) {
    const value = result[field];
    if (typeof value === "string") return value;
  }
  if (command.endsWith("analyze") && Array.isArray(result["key_points"])) {
    const { sentiment, confidence, key_points: points } = result as Record<string, unknown>;
    const lines = (points as unknown[]).map((point) => `- ${String(point)}`);
    return [`${String(sentiment)} (${String(confidence)})`, ...lines].join("\n");
  }
  return JSON.stringify(result, null, 2);
}

function textOrNone(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function contextLabel(tokens: unknown): string {
  return typeof tokens === "number" ? `Context set · ${tokens} tokens` : "Context set";
}

function drawText(value: unknown, label: string | undefined): HTMLElement | undefined {
  if (typeof value !== "string") return undefined;
  const text = make("p", "plain", value === "" ? "(empty)" : value);
  text.dir = "auto";
  return label === undefined ? text : make("div", "labelled", make("p", "label", label), text);
}

function drawAnalysis(result: CommandResult): HTMLElement | undefined {
  const { sentiment, confidence, key_points: points } = result as Record<string, unknown>;
  if (typeof sentiment !== "string" || typeof confidence !== "number" || !Array.isArray(points))
    return undefined;
  const percent = `${Math.round(Math.min(1, Math.max(0, confidence)) * 100)}%`;
  const bar = make("span", "bar-fill");
  bar.style.width = percent;
  const meter = make("span", "confidence", bar);
  const badge = make("strong", "sentiment", sentiment);
  badge.dataset["sentiment"] = sentiment;
  const list = make("ul", "", ...points.map((point) => make("li", "", String(point))));
  list.dir = "auto";
  return make(
    "section",
    "card",
    make("header", "", badge, make("span", "certainty", meter, make("span", "", `${percent} sure`))),
    list,
  );
}

function drawHelp(result: CommandResult, onPick: (text: string) => void): HTMLElement | undefined {
  const commands = result["commands"];
  if (!Array.isArray(commands)) return undefined;
  const list = make("dl", "commands");
  for (const entry of commands as unknown[]) {
    const { name, usage, description } = (entry ?? {}) as {
      name?: string;
      usage?: string;
      description?: string;
    };
    const line = make("button", "", make("code", "", String(usage ?? name)));
    line.type = "button";
    line.title = "Put this command into the message box";
    line.addEventListener("click", () => onPick(String(usage ?? name)));
    list.append(make("dt", "", line), make("dd", "", description ?? ""));
  }
  return list;
}

function drawRaw(result: CommandResult): HTMLElement {
  const scroller = make("pre", "", make("code", "", JSON.stringify(result, null, 2)));
  scroller.tabIndex = 0;
  return make("figure", "code", scroller);
}
