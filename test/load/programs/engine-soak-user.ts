import { words } from "../../bench/engine/load/texts.ts";
import { wholeBetween, type Random } from "../../bench/engine/load/random.ts";
import { ChatSocket, type Frame } from "../../support/chat-socket.ts";

/** How the messages of a soak ended. */
export interface SoakTally {
  /** Messages and commands sent. */
  sent: number;
  /**
   * Number of messages by end: a finish reason, `command`, `error <code>`, or `cut` if the connection was cut before.
   */
  readonly ends: Map<string, number>;
}

export interface SoakUserOptions {
  readonly url: string;
  readonly protocols: () => string[];
  readonly random: Random;
  readonly tally: SoakTally;
  /** Mean pause between two messages, in milliseconds. */
  readonly pauseMs: number;
  readonly signal: AbortSignal;
}

/** Longest wait for the end of an answer, in milliseconds. */
const LONGEST_ANSWER_MS = 120_000;
const ENDS = new Set(["message", "command_response", "error"]);

/** Chats until the signal aborts. At random, cancels, cuts the connection, clears, sets a context or asks for JSON. */
export async function soakUser(options: SoakUserOptions): Promise<void> {
  const { url, protocols, random, tally, pauseMs, signal } = options;
  let socket: ChatSocket | undefined;
  while (!signal.aborted) {
    socket ??= await ChatSocket.greeted(url, protocols());
    const cut = await oneMessage(socket, random, tally);
    socket.frames.length = 1;
    if (cut) socket = undefined;
    await sleep(random() * 2 * pauseMs);
  }
  await socket?.close();
}

/** Sends one message and waits for its end. @returns whether the connection was cut meanwhile. */
async function oneMessage(socket: ChatSocket, random: Random, tally: SoakTally): Promise<boolean> {
  const id = `m${tally.sent++}`;
  const conversation = `c${wholeBetween(random, 1, 3)}`;
  const end = socket.next(
    // A cancel may arrive when the answer has just ended. Its `unknown_answer` is not the end of the message.
    (frame) => ENDS.has(frame.type) && frame["id"] === id && frame["code"] !== "unknown_answer",
    socket.frames.length,
    LONGEST_ANSWER_MS,
  );
  socket.send({ message: text(random), id, conversation, max_tokens: wholeBetween(random, 1, 48) });
  const draw = random();
  if (draw < 0.3) {
    await sleep(random() * 800);
    // If the answer has already ended, the reply is an `unknown_answer` error, which is not counted.
    socket.send({ type: "cancel", id, conversation });
  } else if (draw < 0.4) {
    await sleep(random() * 800);
    socket.cut();
    await end.then(
      (frame) => count(tally, nameOf(frame)),
      () => count(tally, "cut"),
    );
    return true;
  }
  count(tally, nameOf(await end));
  return false;
}

function text(random: Random): string {
  const draw = random();
  if (draw < 0.04) return "/clear";
  if (draw < 0.08) return `/setcontext text="${words(random, 40)}"`;
  if (draw < 0.1) return "/clearcontext";
  if (draw < 0.13) return `/analyze text="${words(random, 20)}"`;
  if (draw < 0.16) return "/summarize";
  if (draw < 0.22) return words(random, 150);
  return words(random, wholeBetween(random, 5, 50));
}

function nameOf(frame: Frame): string {
  if (frame.type === "command_response") return "command";
  return frame.type === "error" ? `error ${String(frame["code"])}` : String(frame["finish_reason"]);
}

function count({ ends }: SoakTally, name: string): void {
  ends.set(name, (ends.get(name) ?? 0) + 1);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
