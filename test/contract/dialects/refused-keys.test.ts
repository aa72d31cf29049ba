import { body, describeDialects, json, stream, type DialectRow } from "../../support/dialects.ts";
import { event } from "../../support/fault-scripts.ts";

const badKey = { code: "provider_auth", says: "API key; check" } as const;

/** OpenAI's shape. */
const error = (message: string, fields: object = {}) => ({ error: { message, ...fields } });
/** Google's shape, as its compatible endpoint sends it. */
const google = (code: number, message: string, status: string, details: readonly object[] = []) => [
  { error: { code, message, status, details } },
];

const keys: readonly DialectRow[] = [
  [
    "OpenAI",
    "401",
    json(401, error("Incorrect API key provided: sk-1.", { code: "invalid_api_key" })),
    badKey,
  ],
  [
    "Gemini",
    "400 in a list",
    json(
      400,
      google(400, "API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT", [
        { reason: "API_KEY_INVALID", domain: "googleapis.com" },
      ]),
    ),
    badKey,
  ],
  [
    "Gemini",
    "400, only the reason names the key",
    json(400, google(400, "Bad.", "INVALID_ARGUMENT", [{ reason: "API_KEY_INVALID" }])),
    badKey,
  ],
  [
    "Gemini",
    "JSON in the message",
    json(
      400,
      error(JSON.stringify(google(400, "API key expired. Please renew the API key.", "INVALID_ARGUMENT"))),
    ),
    badKey,
  ],
  [
    "a server",
    "200 with a list around the error",
    json(200, [error("Invalid API key", { code: "invalid_api_key" })]),
    badKey,
  ],
  ["a server", "in band, in a list", stream(event([error("Incorrect API key provided")])), badKey],
  [
    "Azure",
    "a subscription key",
    json(401, error("Access denied due to invalid subscription key or wrong API endpoint.", { code: "401" })),
    badKey,
  ],
  [
    "DashScope",
    "a flat code",
    json(401, { code: "InvalidApiKey", message: "Invalid API-key provided." }),
    badKey,
  ],
  [
    "DeepSeek",
    "401",
    json(
      401,
      error("Authentication Fails (no such user)", {
        type: "authentication_error",
        code: "invalid_request_error",
      }),
    ),
    badKey,
  ],
  ["Cohere", "a flat message", json(401, { message: "invalid api token" }), badKey],
  ["FastAPI", "a text in detail", json(403, { detail: "Not authenticated" }), badKey],
  [
    "MiniMax",
    "200 with base_resp",
    json(200, { choices: null, base_resp: { status_code: 1004, status_msg: "login fail" } }),
    badKey,
  ],
  ["a proxy", "200 with a text", body("Unauthorized", "text/plain"), badKey],
];

describeDialects("the words for a bad key", keys);
