// k6: a few clients use every part of the contract once or twice. Every check must hold.
// Settings by -e: URL (ws://…/ws/chat), VUS, ITERATIONS, PACED=1 (the provider is echo with ECHO_TOKEN_MS=20),
// SUMMARY (file for the figures).
import { check } from "k6";
import { Counter, Rate, Trend } from "k6/metrics";
import { ChatClient, isAbnormalClose, summaryTo, utf8Bytes } from "./chat-client.js";

const url = __ENV.URL;
const paced = __ENV.PACED === "1";
const vus = Number(__ENV.VUS ?? 5);
const iterations = Number(__ENV.ITERATIONS ?? 3);

const connectMs = new Trend("chat_connect_ms", true);
const firstTokenMs = new Trend("chat_first_token_ms", true);
const failures = new Rate("chat_failures");
const abnormalCloses = new Counter("chat_abnormal_closes");

export const options = {
  scenarios: {
    smoke: {
      executor: "per-vu-iterations",
      vus,
      iterations,
      maxDuration: "2m",
    },
  },
  thresholds: {
    checks: ["rate==1"],
    iterations: [`count==${vus * iterations}`],
    chat_failures: ["rate==0"],
    chat_abnormal_closes: ["count==0"],
    chat_connect_ms: ["p(95)<500"],
    // A real model may take longer to its first token than an echo.
    chat_first_token_ms: [paced ? "p(95)<250" : "p(95)<30000"],
  },
  summaryTrendStats: ["avg", "med", "p(95)", "p(99)", "max"],
};

export const handleSummary = summaryTo(__ENV.SUMMARY);

/** Far longer than a welcome takes. */
const WELCOME_MS = 3000;

/** Letters of one, two, three and four bytes: offsets count bytes, not letters. */
const TEXT = "Grüße an alle Köche: 10 € für 🍲 und 🍜, bitte!";

export default async function smoke() {
  const name = `${__VU}-${__ITER}`;
  let client = new ChatClient(url);
  let failed = false;
  try {
    if (await missedWelcome(client)) client = new ChatClient(url);
    const echoes = await connect(client);
    await streamedChat(client, `streamed-${name}`, echoes);
    await plainChat(client, `plain-${name}`);
    await commands(client, name);
    await pings(client);
    await cancel(client, `long-${name}`);
    await badFrame(client);
    check(await client.close(), { "the close is answered with 1000": (code) => code === 1000 });
  } catch (error) {
    failed = true;
    console.error(`client ${name}: ${error.message}`);
  }
  failures.add(failed);
  abnormalCloses.add(isAbnormalClose(client.closeCode) ? 1 : 0);
}

/**
 * True when a socket is open and no welcome came. k6 loses a frame that comes with the answer to the upgrade when its
 * reader is faster than its "open"; that is rare, so one more try tells it from a server that greets nobody.
 */
async function missedWelcome(client) {
  if (await client.receives(WELCOME_MS)) return false;
  if (!client.open) return false;
  console.warn("no welcome came; trying once more");
  await client.close();
  return true;
}

/** Waits for the welcome. True when the provider repeats what it is told. */
async function connect(socket) {
  const welcome = await socket.next();
  connectMs.add(socket.firstFrameMs);
  check(welcome, {
    "the first frame is the welcome": ({ type, event }) => type === "system" && event === "welcome",
    "the welcome holds session, client and limits": ({ session, client, limits }) =>
      typeof session === "string" && typeof client === "string" && limits.max_frame_bytes > 0,
  });
  return welcome.provider === "echo";
}

async function streamedChat(socket, id, echoes) {
  const begin = Date.now();
  socket.send({ message: TEXT, id, stream: true });
  const tokens = [];
  let frame = await socket.next(60_000);
  for (; frame.type !== "message" && frame.type !== "error"; frame = await socket.next(60_000)) {
    if (frame.type !== "token") continue;
    if (tokens.length === 0) firstTokenMs.add(Date.now() - begin);
    tokens.push(frame);
  }
  check(frame, {
    "a streamed answer ends with a message": ({ type }) => type === "message",
    "its tokens together equal it": ({ content }) => content === joined(tokens),
    "its offsets are contiguous bytes": () => contiguous(tokens),
    "its frames carry its id": () => [...tokens, frame].every((it) => it.id === id),
    "it echoes the message": ({ content }) => !echoes || content === TEXT,
    "it streams in more than one frame": () => !paced || tokens.length > 1,
    "it says how it finished and what it used": ({ finish_reason: reason, usage }) =>
      ["stop", "length"].includes(reason) && usage.completion_tokens > 0,
  });
}

async function plainChat(socket, id) {
  socket.send({ message: "Once more, in one piece.", id });
  const frame = await socket.next(60_000);
  check(frame, {
    "a socket that asks for nothing gets the message alone": (it) => it.type === "message" && it.id === id,
  });
}

async function commands(socket, name) {
  const context = `I am client ${name}; "quotes" and Ümläute stay.`;
  const quoted = context.replace(/["\\]/g, "\\$&");
  socket.send({ message: `/setcontext text="${quoted}"` });
  const set = await socket.next();
  socket.send({ message: "/getcontext" });
  const got = await socket.next();
  socket.send({ message: "/help" });
  const help = await socket.next();
  check(set, { "/setcontext succeeds": (it) => succeeded(it) && it.result.context === context });
  check(got, { "/getcontext gives it back": (it) => succeeded(it) && it.result.context === context });
  check(help, { "/help lists eight commands": (it) => succeeded(it) && it.result.commands.length === 8 });
  socket.send({ message: '/analyze text="A fine day."' });
  const analyzed = await socket.next(60_000);
  check(analyzed, {
    "/analyze gives a sentiment": (it) =>
      succeeded(it) && ["positive", "negative", "neutral", "mixed"].includes(it.result.sentiment),
  });
}

async function pings(socket) {
  socket.send({ type: "ping" });
  check(await socket.next(), { "a ping frame is answered by pong": ({ type }) => type === "pong" });
  check(await socket.ping(), { "a WebSocket ping is answered": (answered) => answered });
}

async function cancel(socket, id) {
  const message = "Count slowly, please, and do not stop before a thousand. ".repeat(20);
  socket.send({ message, id, stream: true });
  const before = await socket.nextUntil(["token"], 60_000);
  socket.send({ type: "cancel", id });
  const frames = [...before, ...(await socket.nextUntil(["message", "error"], 60_000))];
  const tokens = frames.filter(({ type }) => type === "token");
  const end = frames[frames.length - 1];
  check(end, {
    // A fast provider may have finished before the cancel arrived.
    "cancel ends the answer": ({ type, finish_reason: reason }) =>
      type === "message" && (reason === "cancelled" || !paced),
    "a cancelled answer keeps its text so far": ({ content }) => content === joined(tokens) && content !== "",
    "and no more of it": ({ content }) => !paced || content.length < message.length,
  });
  if (end.finish_reason !== "cancelled") await socket.next();
}

async function badFrame(socket) {
  socket.sendText('{"type":"nonsense"}');
  const refusal = await socket.next();
  socket.send({ type: "ping" });
  const after = await socket.next();
  check(refusal, { "a bad frame gets an error": (it) => it.type === "error" && it.code === "bad_frame" });
  check(after, { "and the socket lives on": ({ type }) => type === "pong" });
}

function succeeded(frame) {
  return frame.type === "command_response" && frame.result.status === "success";
}

function joined(tokens) {
  return tokens.map(({ content }) => content).join("");
}

function contiguous(tokens) {
  let offset = 0;
  return tokens.every(({ from, to, content }) => {
    const fits = from === offset && to === from + utf8Bytes(content);
    offset = to;
    return fits;
  });
}
