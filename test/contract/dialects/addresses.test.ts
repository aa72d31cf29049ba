import { body, describeDialects, json, type DialectRow } from "../../support/dialects.ts";

const noModel = { code: "bad_request", says: "does not serve this model" } as const;
const noPath = {
  code: "bad_request",
  says: /no chat completions at this address; check \w+_BASE_URL, .*\/v1/,
} as const;

/** OpenAI's shape. */
const error = (message: string, fields: object = {}) => ({ error: { message, ...fields } });

const addresses: readonly DialectRow[] = [
  [
    "LM Studio",
    "200 for an unknown endpoint",
    json(200, { error: "Unexpected endpoint or method. (POST /chat/completions)" }),
    noPath,
  ],
  ["Ollama", "404 page not found", body("404 page not found", "text/plain", 404), noPath],
  [
    "llama-server",
    "File Not Found",
    json(404, error("File Not Found", { code: 404, type: "not_found_error" })),
    noPath,
  ],
  ["FastAPI", "Not Found", json(404, { detail: "Not Found" }), noPath],
  ["FastAPI", "Method Not Allowed", json(405, { detail: "Method Not Allowed" }), noPath],
  [
    "OpenAI",
    "a path twice",
    json(404, error("Invalid URL (POST /v1/v1/chat/completions)", { type: "invalid_request_error" })),
    noPath,
  ],
  [
    "Groq",
    "an unknown URL",
    json(
      404,
      error("Unknown request URL: POST /chat/completions. Please check the URL for typos.", {
        code: "unknown_url",
      }),
    ),
    noPath,
  ],
  ["Mistral", "no route", json(404, { message: "no Route matched with those values" }), noPath],
  ["Azure", "404", json(404, error("Resource not found", { code: "404" })), noPath],
  ["Express", "a web page", body("<pre>Cannot POST /chat/completions</pre>", "text/html", 404), noPath],
  ["a server", "200 with an unknown endpoint as text", body("Unknown endpoint", "text/plain"), noPath],
  [
    "nginx",
    "a web page with 200",
    body("<!doctype html><title>Welcome</title>", "text/html"),
    { code: "bad_answer", says: /_BASE_URL.*\/v1/ },
  ],
  [
    "a server",
    "another JSON document with 200",
    json(200, { object: "list", data: [] }),
    { code: "bad_answer", says: /_BASE_URL.*\/v1/ },
  ],
  [
    "OpenRouter",
    "the list of its models with 200",
    json(200, { data: [{ id: "m", context_length: 8192, top_provider: { is_moderated: true } }] }),
    { code: "bad_answer", says: /_BASE_URL.*\/v1/ },
  ],
  ["a server", "an empty body with 200", body(""), { code: "bad_answer", says: /_BASE_URL.*\/v1/ }],
  [
    "a server",
    "404 without a body",
    body("", null, 404),
    { code: "bad_request", says: /_MODEL and \w+_BASE_URL.*\/v1/ },
  ],
  [
    "Ollama",
    "an unknown model",
    json(404, error('model "llama3" not found, try pulling it first', { type: "api_error", code: null })),
    noModel,
  ],
  [
    "vLLM",
    "an unknown model",
    json(404, {
      object: "error",
      message: "The model `x` does not exist.",
      type: "NotFoundError",
      code: 404,
    }),
    noModel,
  ],
  [
    "Azure",
    "an unknown deployment",
    json(404, error("The API deployment for this resource does not exist.", { code: "DeploymentNotFound" })),
    noModel,
  ],
  [
    "OpenRouter",
    "an unknown model",
    json(400, error("foo/bar is not a valid model ID", { code: 400 })),
    noModel,
  ],
  [
    "Groq",
    "a retired model",
    json(
      400,
      error("The model `x` has been decommissioned and is no longer supported.", {
        code: "model_decommissioned",
      }),
    ),
    noModel,
  ],
  [
    "Gemini",
    "an unknown model",
    json(404, [
      error("models/gemini-9 is not found for API version v1main", { code: 404, status: "NOT_FOUND" }),
    ]),
    noModel,
  ],
  [
    "Bedrock",
    "an unknown model",
    json(400, { message: "The provided model identifier is invalid." }),
    noModel,
  ],
];

describeDialects("the words about the address and the model", addresses);
