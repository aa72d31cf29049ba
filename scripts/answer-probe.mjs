// A test client without dependencies, for scripts/fresh-machine.sh and scripts/image-check.sh. It prints one line and
// exits with 1 on a failure.
//   answer-probe.mjs port|ready|page PORT    answer-probe.mjs echo|chat PORT TEXT
import { createServer } from "node:net";

/** Maximum time for one answer, in milliseconds. */
const ANSWER_MS = 120_000;

/** Time to wait after the last frame for a close that it may have caused, in milliseconds. */
const CLOSE_MS = 1000;

const [what = "", port = "", text = ""] = process.argv.slice(2);
const at = `127.0.0.1:${port}`;

/**
 * @param {string} reason
 * @returns {never}
 */
function fail(reason) {
  console.log(reason);
  process.exit(1);
}

/**
 * Prints the wanted port if it is free, otherwise another free port.
 * @param {number} wanted
 */
function printFreePort(wanted) {
  const server = createServer();
  server.once("error", () => printFreePort(0));
  server.listen(wanted, "127.0.0.1", () => {
    const address = server.address();
    console.log(typeof address === "object" ? address?.port : address);
    server.close();
  });
}

/**
 * Requests a path. Fails unless the status is a success and the body matches.
 * @param {string} path
 * @param {RegExp} expected
 */
async function get(path, expected) {
  try {
    const response = await fetch(`http://${at}${path}`);
    const body = await response.text();
    if (!response.ok || !expected.test(body)) fail(`${path}: ${response.status} ${body.slice(0, 200)}`);
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    fail(`${path}: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}

/**
 * Opens a socket, sends the messages, and passes each frame to `onFrame`. Any error or close is a failure.
 * @param {object[]} messages
 * @param {(frame: Record<string, unknown>) => void} onFrame
 */
function converse(messages, onFrame) {
  setTimeout(() => fail(`no answer within ${ANSWER_MS / 1000} s`), ANSWER_MS);
  const socket = new WebSocket(`ws://${at}/ws/chat?stream=true`);
  socket.addEventListener("error", () => fail("the socket failed"));
  socket.addEventListener("close", ({ code, reason }) => fail(`the socket was closed: ${code} ${reason}`));
  socket.addEventListener("open", () => {
    for (const message of messages) socket.send(JSON.stringify(message));
  });
  socket.addEventListener("message", ({ data }) => {
    const frame = JSON.parse(String(data));
    if (frame.type === "error") fail(`error frame: ${String(data)}`);
    onFrame(frame);
  });
}

/**
 * Prints the line and exits with 0, unless the socket closes first.
 * @param {string} line
 */
function succeed(line) {
  setTimeout(() => {
    console.log(line);
    process.exit(0);
  }, CLOSE_MS);
}

/** Requests one streamed answer. Its `token` frames must add up to the text of its `message` frame. */
function chat() {
  const begin = performance.now();
  let streamed = "";
  let tokens = 0;
  converse([{ message: text, id: "m1", max_tokens: 64 }], (frame) => {
    if (frame["type"] === "token") {
      streamed += String(frame["content"]);
      tokens++;
    }
    if (frame["type"] !== "message") return;
    const content = String(frame["content"]);
    if (content === "" || content !== streamed)
      fail(`the tokens (${streamed}) differ from the message (${content})`);
    const seconds = ((performance.now() - begin) / 1000).toFixed(1);
    succeed(
      `${tokens} token frames in ${seconds} s, ${String(frame["finish_reason"])}: ${JSON.stringify(content)}`,
    );
  });
}

/** Stores a text and reads it back. An answer of the model may contain ASCII only and would then prove nothing. */
function echo() {
  converse([{ message: `/setcontext text="${text}"` }, { message: "/getcontext" }], (frame) => {
    if (frame["type"] !== "command_response" || frame["command"] !== "getcontext") return;
    const result = JSON.stringify(frame["result"]);
    if (!result.includes(text)) fail(`${text} was returned as ${result}`);
    succeed(text);
  });
}

if (what === "port") printFreePort(Number(port));
else if (what === "ready") await get("/readyz", /ready/);
else if (what === "page") await get("/", /<title>/i);
else if (what === "echo") echo();
else chat();
