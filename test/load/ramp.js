// k6 script: many sockets, each chatting about once a second. No answer may be lost or mixed up.
// Settings (-e): URL (ws://…/ws/chat of a server whose provider is echo), SOCKETS, VUS, RAMP_SECONDS, HOLD_SECONDS,
// SUMMARY (file for the figures).
import exec from "k6/execution";
import { check } from "k6";
import { Counter, Rate, Trend } from "k6/metrics";
import { clearTimeout, setTimeout } from "k6/timers";
import { WebSocket } from "k6/websockets";
import { isAbnormalClose, summaryTo } from "./chat-client.js";

const url = __ENV.URL;
const sockets = Number(__ENV.SOCKETS ?? 1000);
const vus = Math.min(Number(__ENV.VUS ?? 20), sockets);
const rampMs = Number(__ENV.RAMP_SECONDS ?? 20) * 1000;
const holdMs = Number(__ENV.HOLD_SECONDS ?? 40) * 1000;

/** Pause between two messages of a socket. Drawn at random each time, so that the sockets do not run in step. */
const PAUSE_MS = { min: 500, max: 1500 };

/** An answer that takes longer counts as lost. */
const ANSWER_MS = 15_000;

const connectMs = new Trend("chat_connect_ms", true);
const firstTokenMs = new Trend("chat_first_token_ms", true);
const answerMs = new Trend("chat_answer_ms", true);
const answers = new Counter("chat_answers");
const tokenFrames = new Counter("chat_token_frames");
const opened = new Counter("chat_sockets_opened");
const welcomed = new Rate("chat_sockets_welcomed");
const lost = new Counter("chat_answers_lost");
const mixedUp = new Counter("chat_answers_mixed_up");
const errorFrames = new Counter("chat_error_frames");
const abnormalCloses = new Counter("chat_abnormal_closes");
const heldToEnd = new Rate("chat_sockets_held_to_end");

export const options = {
  scenarios: {
    ramp: {
      executor: "per-vu-iterations",
      vus,
      iterations: 1,
      gracefulStop: "5s",
      maxDuration: `${Math.ceil((rampMs + holdMs + ANSWER_MS) / 1000) + 15}s`,
    },
  },
  thresholds: {
    checks: ["rate>0.999"],
    chat_sockets_opened: [`count==${sockets}`],
    // Not 1, because k6 drops a frame that arrives with the upgrade response and is read before its "open" event.
    chat_sockets_welcomed: ["rate>0.99"],
    chat_sockets_held_to_end: ["rate==1"],
    chat_answers: [`count>=${Math.floor((sockets * holdMs) / 1000 / 3)}`],
    chat_answers_lost: ["count==0"],
    chat_answers_mixed_up: ["count==0"],
    chat_error_frames: ["count==0"],
    chat_abnormal_closes: ["count==0"],
    chat_connect_ms: ["p(95)<1000"],
    chat_first_token_ms: ["p(95)<250"],
  },
  summaryTrendStats: ["avg", "med", "p(95)", "p(99)", "max"],
};

export const handleSummary = summaryTo(__ENV.SUMMARY);

let reports = 0;

/** Prints the first few problems only, since a thousand sockets may have the same one. */
function report(text) {
  if (reports++ < 3) console.error(text);
}

/** Opens this VU's share of the sockets, spread over the ramp. Ends when all of them are closed. */
export default async function ramp() {
  const mine = [];
  for (let index = __VU - 1; index < sockets; index += vus) mine.push(index);
  const endsAt = Date.now() + rampMs + holdMs;
  for (const counter of [lost, mixedUp, errorFrames, abnormalCloses]) counter.add(0);
  await Promise.all(mine.map((index) => runSocket(index, (rampMs * index) / sockets, endsAt)));
}

/** Runs one socket, from its start in the ramp to the end of the run. Never rejects. */
async function runSocket(index, delayMs, endsAt) {
  await pause(delayMs);
  await new Promise((resolve) => new ChattingSocket(index, endsAt, resolve));
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

class ChattingSocket {
  #index;
  #endsAt;
  #closed;
  #socket;
  #createdAt = Date.now();
  #count = 0;
  #greeted = false;
  /** The running answer: `{id, message, sentAt, text, to, timer}`; null between answers. */
  #asked = null;
  #next = null;
  #finishing = false;

  constructor(index, endsAt, closed) {
    this.#index = index;
    this.#endsAt = endsAt;
    this.#closed = closed;
    this.#socket = new WebSocket(url);
    this.#socket.addEventListener("open", () => {
      opened.add(1);
      this.#askLater();
    });
    this.#socket.addEventListener("message", ({ data }) => this.#take(JSON.parse(data)));
    this.#socket.addEventListener("error", ({ error }) => report(`socket ${index}: ${error}`));
    this.#socket.addEventListener("close", ({ code }) => this.#ended(code));
  }

  #take(frame) {
    if (frame.type === "token") this.#token(frame);
    else if (frame.type === "message") this.#message(frame);
    else if (frame.type === "system" && frame.event === "welcome") this.#welcome(frame);
    else if (frame.type === "error") this.#error(frame);
  }

  #welcome({ provider }) {
    if (provider !== "echo") exec.test.abort(`the server's provider is ${provider}: ramp needs echo`);
    connectMs.add(Date.now() - this.#createdAt);
    this.#greeted = true;
  }

  #askLater() {
    const wait = PAUSE_MS.min + Math.random() * (PAUSE_MS.max - PAUSE_MS.min);
    if (Date.now() + wait >= this.#endsAt) {
      this.#next = setTimeout(() => this.#finish(), Math.max(this.#endsAt - Date.now(), 0));
      return;
    }
    this.#next = setTimeout(() => this.#ask(), wait);
  }

  #ask() {
    const id = `s${this.#index}-${this.#count++}`;
    // Unique from the first token on, so that an answer on the wrong socket is detected.
    const message = `${id} says: hello, ${id}!`;
    const timer = setTimeout(() => this.#lose(`no answer within ${ANSWER_MS} ms`), ANSWER_MS);
    this.#asked = { id, message, sentAt: Date.now(), text: "", to: 0, timer };
    this.#socket.send(JSON.stringify({ message, id, stream: true }));
  }

  #token({ id, content, from, to }) {
    const asked = this.#asked;
    tokenFrames.add(1);
    if (asked === null || id !== asked.id || from !== asked.to) {
      this.#mixUp(`received a token of ${id} at ${from}`);
      return;
    }
    if (from === 0) firstTokenMs.add(Date.now() - asked.sentAt);
    asked.text += content;
    asked.to = to;
  }

  #message({ id, content, finish_reason: reason }) {
    const asked = this.#asked;
    if (asked === null || id !== asked.id) {
      this.#mixUp(`received the end of ${id}`);
      return;
    }
    clearTimeout(asked.timer);
    this.#asked = null;
    answers.add(1);
    answerMs.add(Date.now() - asked.sentAt);
    const whole = check(content, {
      "the answer equals the message": () => content === asked.message,
      "the joined tokens equal the answer": () => asked.text === content,
      "the answer finished with stop": () => reason === "stop",
    });
    if (!whole) this.#mixUp(`${id} received ${content}`);
    this.#askLater();
  }

  #error({ code, message }) {
    errorFrames.add(1);
    report(`socket ${this.#index}: error ${code}: ${message}`);
    if (this.#asked !== null) this.#lose(code);
  }

  #mixUp(what) {
    mixedUp.add(1);
    report(`socket ${this.#index}: ${what}, while waiting for ${this.#asked?.id ?? "nothing"}`);
  }

  #lose(why) {
    clearTimeout(this.#asked.timer);
    lost.add(1);
    report(`socket ${this.#index}: ${this.#asked.id} was lost: ${why}`);
    this.#asked = null;
    this.#askLater();
  }

  #finish() {
    this.#finishing = true;
    this.#socket.close(1000);
  }

  #ended(code) {
    if (this.#next !== null) clearTimeout(this.#next);
    if (this.#asked !== null) {
      clearTimeout(this.#asked.timer);
      lost.add(1);
    }
    if (isAbnormalClose(code)) abnormalCloses.add(1);
    welcomed.add(this.#greeted);
    heldToEnd.add(this.#finishing);
    if (!this.#finishing) report(`socket ${this.#index}: closed with ${code}`);
    this.#closed();
  }
}
