import type { FinishReason, QueuedFrame, WelcomeFrame } from "../../src/protocol/server-frames.ts";
import type { ConnectionState } from "../client/client-events.ts";
import type { AnswerFacts } from "../client/transcript.ts";

/** How the connection is told to people. */
export interface ConnectionText {
  readonly tone: "good" | "busy" | "bad";
  /** Two or three words. */
  readonly label: string;
  /** A sentence on what happened and what can be done; empty while all is well. */
  readonly detail: string;
  /** What a button offers. */
  readonly action: "connect" | "token" | "none";
}

/** @param now - On the clock of the state's `retryAt`. */
export function describeConnection(state: ConnectionState, now: number): ConnectionText {
  switch (state.phase) {
    case "idle":
      return { tone: "busy", label: "Not connected", detail: "", action: "connect" };
    case "connecting":
      return { tone: "busy", label: "Connecting…", detail: "", action: "none" };
    case "open":
      return state.leaving
        ? {
            tone: "busy",
            label: "Server restarts",
            detail: "The server restarts soon. Answers under way are finished first; new messages wait.",
            action: "none",
          }
        : { tone: "good", label: "Connected", detail: "", action: "none" };
    case "waiting": {
      const seconds = Math.ceil(Math.max(0, state.retryAt - now) / 1000);
      const when = seconds > 1 ? `Trying again in ${seconds} s.` : "Trying again…";
      return {
        tone: "busy",
        label: "Reconnecting…",
        detail: `${whyCut(state.code)} ${when}`,
        action: seconds > 1 ? "connect" : "none",
      };
    }
    case "stopped":
      return {
        tone: "bad",
        label: "Not connected",
        detail: whyRefused(state.code, state.reason),
        action: state.needs === "token" ? "token" : "connect",
      };
  }
}

function whyCut(code: number): string {
  switch (code) {
    case 1011:
      return "The server had a fault.";
    case 1012:
      return "The server restarts.";
    case 1013:
      return "The server is full at the moment.";
    case 4429:
      return "The server takes no more requests from here for a while.";
    default:
      return "The connection to the server is gone.";
  }
}

function whyRefused(code: number, reason: string): string {
  const said = reason === "" ? "" : ` The server says: ${endSentence(reason)}`;
  switch (code) {
    case 1000:
    case 1001:
      return `The server closed the connection.${said}`;
    case 1009:
      return "The last message was too long for the server.";
    case 4401:
      return `The server asks for a valid token.${said}`;
    case 4408:
      return "The token has expired. Give a new one to go on where you were.";
    case 4409:
      return "This chat was opened in another window.";
    default:
      return `The server refused the connection.${said}`;
  }
}

function endSentence(text: string): string {
  return /[.!?…]$/.test(text) ? text : `${text}.`;
}

/** Why nothing is to be seen yet. */
export function describeQueue({ reason, position, eta_ms: eta }: QueuedFrame): string {
  if (reason === "conversation") return "Waits for the answer before it";
  const wait = eta === undefined ? "" : `, about ${Math.max(1, Math.round(eta / 1000))} s`;
  return `Place ${position} in the queue${wait}`;
}

/**
 * Where the text goes, in one line.
 *
 * @param host - Name of the server in the page's address: on the loopback its machine is the reader's own.
 */
export function describePrivacy(welcome: WelcomeFrame | undefined, host: string): string {
  if (welcome === undefined) return "";
  const machine = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(host)
    ? "this machine"
    : "the server’s machine";
  if (!welcome.text_may_leave) return `Your text stays on ${machine}`;
  const provider = welcome.provider === null ? "" : ` (${welcome.provider})`;
  return `Your text may leave ${machine}${provider}`;
}

/** The line under an answer: model, speed, and how it ended where that needs a word. */
export function describeFacts({ finishReason, usage, timings, model }: AnswerFacts): string[] {
  const parts: string[] = [];
  const ending = describeEnding(finishReason);
  if (ending !== undefined) parts.push(ending);
  if (model !== undefined) parts.push(model);
  const tokens = usage?.completion_tokens ?? 0;
  if (tokens > 0) parts.push(tokens === 1 ? "1 token" : `${tokens} tokens`);
  if (timings?.ttft_ms === undefined) return parts;
  parts.push(`first word ${seconds(timings.ttft_ms)}`);
  const spent = (timings.total_ms - timings.ttft_ms) / 1000;
  if (tokens > 4 && spent > 0.05) parts.push(`${Math.round((tokens - 1) / spent)} tokens/s`);
  return parts;
}

function describeEnding(reason: FinishReason): string | undefined {
  switch (reason) {
    case "stop":
      return undefined;
    case "length":
      return "Cut at the output limit";
    case "cancelled":
      return "Stopped";
    case "abandoned":
      return "Ended while nobody listened";
  }
}

function seconds(ms: number): string {
  return ms < 950 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** What a JWT says of its holder. It is not checked here: the server does that. */
export function readToken(token: string): { readonly subject: string; readonly expires?: Date } | undefined {
  const body = token.split(".")[1];
  if (body === undefined) return undefined;
  try {
    const bytes = Uint8Array.from(atob(body.replaceAll("-", "+").replaceAll("_", "/")), (char) =>
      char.charCodeAt(0),
    );
    const claims = JSON.parse(new TextDecoder().decode(bytes)) as { sub?: unknown; exp?: unknown };
    if (typeof claims.sub !== "string") return undefined;
    return typeof claims.exp === "number"
      ? { subject: claims.sub, expires: new Date(claims.exp * 1000) }
      : { subject: claims.sub };
  } catch {
    return undefined;
  }
}
