import {
  body,
  chunk,
  describeDialects,
  json,
  piece,
  stream,
  type DialectRow,
} from "../../support/dialects.ts";
import { event } from "../../support/fault-scripts.ts";

const badKey = { code: "provider_auth", says: "API key; check" } as const;
const rate = { code: "provider_rate_limited" } as const;
const down = { code: "provider_unavailable" } as const;
const bad = { code: "bad_request", says: "rejected the request" } as const;

/** OpenAI's shape. */
const error = (message: string, fields: object = {}) => ({ error: { message, ...fields } });
/** Google's shape, as its compatible endpoint sends it. */
const google = (code: number, message: string, status: string, details: readonly object[] = []) => [
  { error: { code, message, status, details } },
];

const text = "Hel";
const midStream = { code: "bad_answer", text } as const;

const inBand: readonly DialectRow[] = [
  ["FastAPI", "a text in detail", stream(piece(text), event({ detail: "Internal failure" })), midStream],
  [
    "FastAPI",
    "a list in detail",
    stream(event({ detail: [{ loc: ["body", "messages"], msg: "Field required", input: "Hi" }] })),
    bad,
  ],
  [
    "Cohere",
    "a flat message",
    stream(piece(text), event({ message: "internal server error, this has been reported" })),
    { ...down, text },
  ],
  [
    "MiniMax",
    "base_resp beside empty choices",
    stream(piece(text), event({ choices: [], base_resp: { status_code: 1002, status_msg: "rate limit" } })),
    { ...rate, text },
  ],
  [
    "MiniMax",
    "base_resp in place of the answer, as an event",
    stream(event({ choices: null, base_resp: { status_code: 1004, status_msg: "login fail" } })),
    badKey,
  ],
  [
    "Bedrock behind a proxy",
    "a rate of tokens",
    stream(event(error("Too many tokens, please wait before trying again."))),
    rate,
  ],
  [
    "Azure behind a proxy",
    "a rate of tokens that was exceeded",
    stream(event(error("Requests have exceeded the token rate limit. Please retry after 6 seconds."))),
    rate,
  ],
  [
    "Groq behind a proxy",
    "a request larger than the rate",
    stream(
      event(
        error("Request too large for model on tokens per minute (TPM): Limit 6000, Requested 9000.", {
          code: "rate_limit_exceeded",
        }),
      ),
    ),
    { code: "prompt_too_long" },
  ],
  [
    "TGI",
    "a text in error",
    stream(piece(text), event({ error: "Request failed during generation: oom", error_type: "generation" })),
    { ...down, text },
  ],
  [
    "Gemini",
    "a list around the error",
    stream(piece(text), event(google(503, "The model is overloaded.", "UNAVAILABLE"))),
    { ...down, text },
  ],
  [
    "OpenRouter",
    "an error beside a last choice",
    stream(
      piece(text),
      chunk(
        { delta: { content: "" }, finish_reason: "error" },
        { error: { code: 502, message: "Upstream error" } },
      ),
    ),
    { ...down, text },
  ],
  [
    "a server",
    "an event named error",
    stream(piece(text), 'event: error\ndata: {"code":"x"}\n\n'),
    midStream,
  ],
  ["a server", "plain text", stream(piece(text), "data: Error: cuda out of memory\n\n"), midStream],
  [
    "a server",
    "bare JSON after the events",
    stream(piece(text), '{"error":{"message":"boom","type":"server_error"}}'),
    { ...down, text },
  ],
  [
    "a server",
    "bare JSON on many lines",
    stream(piece(text), JSON.stringify(error("slow down", { code: "rate_limit_exceeded" }), null, 2)),
    { ...rate, text },
  ],
  [
    "vLLM",
    "a flat error",
    stream(piece(text), event({ object: "error", message: "boom", type: "InternalServerError", code: 500 })),
    { ...down, text },
  ],
  ["a server", "only a detail, as a whole JSON document", json(200, { detail: "Rate limit exceeded" }), rate],
  [
    "a server",
    "only a message, as a whole JSON document",
    json(200, { message: "boom" }),
    { code: "bad_answer" },
  ],
  [
    "a server",
    "a text in error, as a whole JSON document",
    json(200, { error: "boom" }),
    { code: "bad_answer" },
  ],
  [
    "a server",
    "an error and text in one write",
    stream(piece("He") + piece("l") + event(error("boom")) + piece("lo", "stop")),
    midStream,
  ],
  [
    "a server",
    "a refusal as an event",
    body(event(error("Invalid API key")), "text/event-stream", 400),
    badKey,
  ],
];

describeDialects("the errors in band", inBand);
