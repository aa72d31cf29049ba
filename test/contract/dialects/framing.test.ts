import {
  body,
  chunk,
  describeDialects,
  json,
  piece,
  stream,
  type DialectRow,
} from "../../support/dialects.ts";
import { done, event } from "../../support/fault-scripts.ts";

const whole = { text: "Hello" } as const;
const answer = piece("Hel") + piece("lo", "stop") + done;
const completion = (content: unknown = "Hello", finish_reason = "stop") => ({
  object: "chat.completion",
  choices: [{ index: 0, message: { role: "assistant", content }, finish_reason }],
  usage: { prompt_tokens: 9, completion_tokens: 2, total_tokens: 11 },
});
const bare = (text: string) => text.replaceAll(/^data: /gm, "");

const events: readonly DialectRow[] = [
  [
    "a lax server",
    "no blank line after the last event",
    stream(piece("Hel"), piece("lo", "stop").trimEnd()),
    whole,
  ],
  [
    "a lax server",
    "one line feed after the last event",
    stream(piece("Hel"), `${piece("lo", "stop").trimEnd()}\n`),
    whole,
  ],
  ["a lax server", "no blank lines at all", stream(answer.replaceAll("\n\n", "\n")), whole],
  ["a lax server", "carriage returns as line ends", stream(answer.replaceAll("\n", "\r")), whole],
  [
    "a lax server",
    "CRLF, split between its two characters",
    stream(...answer.replaceAll("\n", "\r\n").split(/(?<=\r)/)),
    whole,
  ],
  ["a lax server", "a byte order mark", stream(`\ufeff${answer}`), whole],
  ["a lax server", "no space after data:", stream(answer.replaceAll("data: ", "data:")), whole],
  [
    "a lax server",
    "pretty-printed data on several lines",
    stream(`data: {\ndata: "choices":[{"delta":{"content":"Hello"},\ndata: "finish_reason":"stop"}]}\n\n`),
    whole,
  ],
  [
    "a proxy",
    "heartbeats with empty data",
    stream("data:\n\n", piece("Hel"), "data: \n\n", piece("lo", "stop")),
    whole,
  ],
  [
    "a proxy",
    "heartbeats with plain data",
    stream("data: ping\n\n", piece("Hel"), "data: keep-alive\n\ndata: [PING]\n\n", piece("lo", "stop")),
    whole,
  ],
  [
    "a proxy",
    "heartbeats as JSON",
    stream(event({ type: "ping" }), piece("Hel"), event("null"), event('"ping"'), piece("lo", "stop")),
    whole,
  ],
  [
    "a proxy",
    "heartbeats as named events",
    stream("event: ping\ndata: {}\n\n", piece("Hel"), "event: heartbeat\n\n", piece("lo", "stop")),
    whole,
  ],
  ["OpenRouter", "comments while it waits", stream(": OPENROUTER PROCESSING\n\n", answer), whole],
  [
    "a lax server",
    "[done] in lower case before more data",
    stream(piece("Hello", "stop"), "data: [done]\n\ndata: bye\n\n"),
    whole,
  ],
  [
    "a lax server",
    "a field error that is null",
    stream(chunk({ delta: { content: "Hello" }, finish_reason: "stop" }, { error: null })),
    whole,
  ],
  [
    "a server in Go",
    "a field error with empty members",
    stream(
      chunk(
        { delta: { content: "Hello" }, finish_reason: "stop" },
        { error: { code: 0, message: "", type: "" } },
      ),
    ),
    whole,
  ],
  [
    "a server that searches",
    "texts in events of other names",
    stream(
      'event: status\ndata: {"message":"Searching","detail":"the web"}\n\n',
      piece("Hel"),
      'event: sources\ndata: {"message":"Two errors found"}\n\n',
      piece("lo", "stop"),
    ),
    whole,
  ],
  [
    "a lax server",
    "events in a list",
    stream(`data: [${bare(piece("Hel")).trim()},${bare(piece("lo", "stop")).trim()}]\n\n`),
    whole,
  ],
  [
    "a lax server",
    "a text that holds the word error in quotes",
    stream(piece('an "error"', "stop")),
    { text: 'an "error"' },
  ],
  [
    "a lax server",
    "an event cut in its JSON",
    stream(piece("Hel"), 'data: {"choices":[{"delta":{"con'),
    { code: "bad_answer", text: "Hel" },
  ],
];

const types: readonly DialectRow[] = [
  ["a proxy", "events as JSON", body(answer, "application/json"), whole],
  ["a proxy", "events as text", body(answer, "text/plain; charset=utf-8"), whole],
  ["a proxy", "events as a web page", body(answer, "text/html"), whole],
  ["a proxy", "events as bytes", body(answer, "application/octet-stream"), whole],
  ["a proxy", "events without a content type", body(answer, null), whole],
  ["a server without streams", "a whole answer as JSON", json(200, completion()), whole],
  [
    "a server without streams",
    "a whole answer as events",
    body(JSON.stringify(completion()), "text/event-stream"),
    whole,
  ],
  [
    "a server without streams",
    "a whole answer on many lines",
    body(JSON.stringify(completion(), null, 2)),
    whole,
  ],
  [
    "a server without streams",
    "a whole answer without a content type",
    body(`\n${JSON.stringify(completion())}\n`, null),
    whole,
  ],
  [
    "a server without streams",
    "a whole answer in a document longer than an error may be",
    json(200, { logprobs: "x".repeat(200_000), ...completion() }),
    whole,
  ],
  [
    "a server without streams",
    "a whole answer with the limit reached",
    json(200, completion("Hello", "MAX_TOKENS")),
    { text: "Hello", reason: "length" },
  ],
  ["a server without streams", "a whole answer as one event", stream(event(completion()), done), whole],
  [
    "Mistral",
    "a whole answer with a list of parts",
    json(
      200,
      completion([
        { type: "thinking", thinking: [] },
        { type: "text", text: "Hello" },
      ]),
    ),
    whole,
  ],
  [
    "a server without streams",
    "a whole answer with parts of another type",
    json(200, completion([{ type: "output_text", text: "Hello" }])),
    whole,
  ],
  [
    "a server without streams",
    "a whole answer that was cut",
    body(JSON.stringify(completion()).slice(0, -20)),
    { code: "bad_answer" },
  ],
  [
    "a lax server",
    "one JSON document per line",
    body(bare(answer).replaceAll("\n\n", "\n"), "application/x-ndjson"),
    whole,
  ],
  [
    "a lax server",
    "chunks as one JSON list",
    body(`[${bare(piece("Hel")).trim()},\n${bare(piece("lo", "stop")).trim()}]`),
    whole,
  ],
];

const message = (content: string, finish_reason: string | null = null) =>
  chunk({ message: { role: "assistant", content }, finish_reason });

const fields: readonly DialectRow[] = [
  ["a lax server", "message in place of delta", stream(message("Hello", "stop")), whole],
  ["a lax server", "message with pieces", stream(message("Hel"), message("lo", "stop")), whole],
  ["a lax server", "message with all text so far", stream(message("Hel"), message("Hello", "stop")), whole],
  [
    "Perplexity",
    "delta and message in each chunk",
    stream(
      chunk({ delta: { content: "Hel" }, message: { content: "Hel" } }),
      chunk({ delta: { content: "lo" }, message: { content: "Hello" }, finish_reason: "stop" }),
    ),
    whole,
  ],
  [
    "MiniMax",
    "the whole message after the deltas",
    stream(piece("Hel"), piece("lo"), message("Hello", "stop")),
    whole,
  ],
  [
    "a lax server",
    "text in place of delta",
    stream(chunk({ text: "Hel" }), chunk({ text: "lo", finish_reason: "stop" })),
    whole,
  ],
  [
    "a lax server",
    "delta that is null beside a message",
    stream(chunk({ delta: null, message: { content: "Hello" }, finish_reason: "stop" })),
    whole,
  ],
];

describeDialects("the events", events);
describeDialects("the body", types);
describeDialects("the fields", fields);
