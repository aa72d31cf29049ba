import type { FinishReason, QueuedFrame, WelcomeFrame } from "../../src/protocol/server-frames.ts";
import type { ConnectionState } from "../client/client-events.ts";
import type { AnswerFacts, Turn } from "../client/transcript.ts";

/** The state of the connection in words. */
export interface ConnectionText {
  readonly tone: "good" | "busy" | "bad";
  /** Two or three words. */
  readonly label: string;
  /** What happened and what the user can do, in one or two sentences. Empty if there is no problem. */
  readonly detail: string;
  /** Action of the button beside the detail. */
  readonly action: "connect" | "token" | "none";
}

/**
 * Describes the state of the connection.
 *
 * @param now - Milliseconds on the same clock as the state's `retryAt`.
 */
export function describeConnection(state: ConnectionState, now: number): ConnectionText {
  switch (state.phase) {
    case "idle":
      return { tone: "busy", label: "Not connected", detail: "", action: "connect" };
    case "connecting":
      return { tone: "busy", label: "Connecting…", detail: "", action: "none" };
    case "open":
      return state.draining
        ? {
            tone: "busy",
            label: "Server restarting",
            detail:
              "The server restarts soon. Running answers finish first, new messages are sent afterwards.",
            action: "none",
          }
        : { tone: "good", label: "Connected", detail: "", action: "none" };
    case "waiting": {
      const seconds = Math.ceil(Math.max(0, state.retryAt - now) / 1000);
      const when = seconds > 1 ? `Trying again in ${seconds} s.` : "Trying again…";
      return {
        tone: "busy",
        label: "Reconnecting…",
        detail: `${describeLoss(state.code)} ${when}`,
        action: seconds > 1 ? "connect" : "none",
      };
    }
    case "stopped":
      return {
        tone: "bad",
        label: "Not connected",
        detail: describeRefusal(state.code, state.reason),
        action: state.needs === "token" ? "token" : "connect",
      };
  }
}

function describeLoss(code: number): string {
  switch (code) {
    case 1011:
      return "Something went wrong on the server.";
    case 1012:
      return "The server is restarting.";
    case 1013:
      return "The server is busy right now.";
    case 4429:
      return "You sent too many requests. Please wait a moment.";
    default:
      return "The connection was lost.";
  }
}

function describeRefusal(code: number, reason: string): string {
  const why = reason === "" ? "" : ` Reason: ${endSentence(reason)}`;
  switch (code) {
    case 1000:
    case 1001:
      return `The server closed the connection.${why}`;
    case 1009:
      return "The last message was too long.";
    case 4401:
      return `You need a valid token to connect.${why}`;
    case 4408:
      return "Your token has expired. Enter a new one to continue.";
    case 4409:
      return "This chat was opened in another window. Connect again to use it here.";
    default:
      return `The server refused the connection.${why}`;
  }
}

/** Describes why a new token was refused. The previous identity and the conversation are kept. */
export function describeTokenRefusal(code: number, reason: string): string {
  const isRefusal = [1008, 4401, 4403, 4408, 4409].includes(code);
  const why =
    code === 4408
      ? "This token has expired."
      : isRefusal
        ? describeRefusal(code, reason)
        : code === 1006
          ? "The server could not be reached."
          : describeLoss(code);
  return `${why} Nothing has changed: your identity and this conversation are kept.`;
}

function endSentence(text: string): string {
  return /[.!?…]$/.test(text) ? text : `${text}.`;
}

/** Describes what a queued message is waiting for. */
export function describeQueue({ reason, position, eta_ms: eta }: QueuedFrame): string {
  if (reason === "conversation") return "Waiting for the previous answer";
  const wait = eta === undefined ? "" : `, about ${Math.max(1, Math.round(eta / 1000))} s`;
  return `Position ${position} in the queue${wait}`;
}

/**
 * Describes in one line where the user's text is processed.
 *
 * @param host - Host name in the address of the page. A loopback host means that the server runs on the user's
 * computer.
 */
export function describePrivacy(welcome: WelcomeFrame | undefined, host: string): string {
  if (welcome === undefined) return "";
  if (!welcome.text_may_leave) {
    const isLoopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(host);
    return `Your text stays on ${isLoopback ? "this computer" : "the server"}`;
  }
  const current = welcome.provider === null ? "" : ` (now: ${welcome.provider})`;
  return `Your text may go to an outside AI service${current}`;
}

/** Parts of the line below an answer: model, speed, and how it ended unless it ended normally. */
export function describeFacts({ finishReason, usage, timings, model }: AnswerFacts): string[] {
  const parts: string[] = [];
  const ending = describeEnding(finishReason);
  if (ending !== undefined) parts.push(ending);
  if (model !== undefined) parts.push(model);
  const tokens = usage?.completion_tokens ?? 0;
  if (tokens > 0) parts.push(tokens === 1 ? "1 token" : `${tokens} tokens`);
  if (timings?.ttft_ms === undefined) return parts;
  parts.push(`first word after ${formatDuration(timings.ttft_ms)}`);
  const seconds = (timings.total_ms - timings.ttft_ms) / 1000;
  // The speed of a very short answer would be mostly noise.
  if (tokens > 4 && seconds > 0.05) parts.push(`${Math.round((tokens - 1) / seconds)} tokens/s`);
  return parts;
}

/** What the page shows in place of an answer that ended without text; undefined for other turns. */
export function describeEmptyAnswer(turn: Turn): string | undefined {
  const { status, command, content, reasoning, facts } = turn;
  const stopped = facts?.finishReason === "cancelled" || facts?.finishReason === "abandoned";
  if (status !== "done" || command !== undefined || stopped || content.trim() !== "") return undefined;
  const what =
    facts?.finishReason === "length" && reasoning !== undefined
      ? "The AI was still thinking when it reached the length limit, and wrote no answer."
      : "The AI ended its answer without writing anything.";
  return `${what} Your message is kept. Ask again, or in other words.`;
}

function describeEnding(reason: FinishReason): string | undefined {
  switch (reason) {
    case "stop":
      return undefined;
    case "length":
      return "Stopped at the length limit";
    case "cancelled":
      return "Stopped";
    case "abandoned":
      return "Stopped while you were away";
  }
}

function formatDuration(ms: number): string {
  return ms < 950 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/**
 * Reads the subject and the expiry time of a JWT, for display only: the signature is not verified. Undefined if the
 * token cannot be read.
 */
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
