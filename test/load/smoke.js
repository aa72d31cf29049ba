// k6 script: a few clients use every part of the protocol once or twice. Every check must hold.
// Settings (-e): URL (ws://…/ws/chat), VUS, ITERATIONS, PACED=1 (the provider is echo with ECHO_TOKEN_MS=20),
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
    // A real model may take longer to its first token than the echo provider.
    chat_first_token_ms: [paced ? "p(95)<250" : "p(95)<30000"],
  },
  summaryTrendStats: ["avg", "med", "p(95)", "p(99)", "max"],
};

export const handleSummary = summaryTo(__ENV.SUMMARY);

/** Longest wait for the welcome, far longer than it takes. */
const WELCOME_MS = 3000;

/** Characters of one, two, three and four bytes, since offsets count bytes and not characters. */
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
    check(await client.close(), { "the server closes with 1000": (code) => code === 1000 });
  } catch (error) {
    failed = true;
    console.error(`client ${name}: ${error.message}`);
  }
  failures.add(failed);
  abnormalCloses.add(isAbnormalClose(client.closeCode) ? 1 : 0);
}

/**
 * True if the socket is open but no welcome arrived. k6 drops a frame that arrives with the upgrade response and is
 * read before its "open" event. That is rare, so a second try distinguishes it from a server that sends no welcome.
 */
async function missedWelcome(client) {
  if (await client.receives(WELCOME_MS)) return false;
  if (!client.open) return false;
  console.warn("no welcome arrived; trying once more");
  await client.close();
  return true;
}

/** Waits for the welcome. True if the provider is the echo provider. */
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
    "the joined tokens equal the answer": ({ content }) => content === joined(tokens),
    "the token offsets are contiguous bytes": () => contiguous(tokens),
    "the frames of an answer carry its id": () => [...tokens, frame].every((it) => it.id === id),
    "the echo provider repeats the message": ({ content }) => !echoes || content === TEXT,
    "a paced answer is streamed in more than one frame": () => !paced || tokens.length > 1,
    "the closing message has finish reason and usage": ({ finish_reason: reason, usage }) =>
      ["stop", "length"].includes(reason) && usage.completion_tokens > 0,
  });
}

async function plainChat(socket, id) {
  socket.send({ message: "Once more, in one piece.", id });
  const frame = await socket.next(60_000);
  check(frame, {
    "a socket without streaming receives only the message": (it) => it.type === "message" && it.id === id,
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
  check(got, { "/getcontext returns the context": (it) => succeeded(it) && it.result.context === context });
  check(help, { "/help lists eight commands": (it) => succeeded(it) && it.result.commands.length === 8 });
  socket.send({ message: '/analyze text="A fine day."' });
  const analyzed = await socket.next(60_000);
  check(analyzed, {
    "/analyze returns a sentiment": (it) =>
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
    "a cancelled answer keeps the text so far": ({ content }) => content === joined(tokens) && content !== "",
    "a cancelled answer is shorter than the whole answer": ({ content }) =>
      !paced || content.length < message.length,
  });
  if (end.finish_reason !== "cancelled") await socket.next();
}

async function badFrame(socket) {
  socket.sendText('{"type":"nonsense"}');
  const refusal = await socket.next();
  socket.send({ type: "ping" });
  const after = await socket.next();
  check(refusal, {
    "a bad frame is answered with an error": (it) => it.type === "error" && it.code === "bad_frame",
  });
  check(after, { "the socket stays open after a bad frame": ({ type }) => type === "pong" });
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
