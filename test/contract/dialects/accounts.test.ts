import { body, describeDialects, json, type DialectRow } from "../../support/dialects.ts";

const region = { code: "provider_auth", says: "country or region", never: "API key" } as const;
const blocked = { code: "provider_auth", says: "has blocked the account", never: "check" } as const;
const quota = { code: "provider_quota", says: "quota of the account", never: "credit" } as const;
const unpaid = { code: "provider_quota", says: "no credit left", never: "quota" } as const;
const rate = { code: "provider_rate_limited" } as const;
const down = { code: "provider_unavailable" } as const;
const refused = { code: "content_refused" } as const;

/** OpenAI's shape. */
const error = (message: string, fields: object = {}) => ({ error: { message, ...fields } });
/** Google's shape, as its compatible endpoint sends it. */
const google = (code: number, message: string, status: string, details: readonly object[] = []) => [
  { error: { code, message, status, details } },
];

const accounts: readonly DialectRow[] = [
  [
    "OpenAI",
    "403 for a region",
    json(
      403,
      error("Country, region, or territory not supported", {
        code: "unsupported_country_region_territory",
        type: "request_forbidden",
      }),
    ),
    region,
  ],
  [
    "Gemini",
    "400 for a region",
    json(400, google(400, "User location is not supported for the API use.", "FAILED_PRECONDITION")),
    region,
  ],
  ["a server", "451", json(451, error("no")), region],
  [
    "Groq",
    "a restricted organization",
    json(400, error("Organization has been restricted.", { code: "organization_restricted" })),
    blocked,
  ],
  [
    "Gemini",
    "a suspended project",
    json(
      403,
      google(403, "Permission denied: Consumer 'api_key:x' has been suspended.", "PERMISSION_DENIED"),
    ),
    blocked,
  ],
  [
    "OpenAI",
    "a used-up quota",
    json(
      429,
      error("You exceeded your current quota, please check your plan and billing details.", {
        type: "insufficient_quota",
        code: "insufficient_quota",
      }),
    ),
    quota,
  ],
  [
    "a proxy of OpenAI",
    "a used-up quota without its code",
    json(429, error("You exceeded your current quota, please check your plan and billing details.")),
    quota,
  ],
  [
    "Kimi",
    "a used-up quota",
    json(403, error("Your account quota is exhausted", { type: "exceeded_current_quota_error" })),
    quota,
  ],
  [
    "OpenAI",
    "billing is not active",
    json(
      429,
      error("Your account is not active, please check your billing details.", { code: "billing_not_active" }),
    ),
    unpaid,
  ],
  [
    "DeepSeek",
    "402",
    json(402, error("Insufficient Balance", { type: "unknown_error", code: "invalid_request_error" })),
    unpaid,
  ],
  [
    "OpenRouter",
    "402",
    json(402, error("This request requires more credits, or fewer max_tokens.", { code: 402 })),
    unpaid,
  ],
  [
    "Anthropic",
    "400",
    json(400, error("Your credit balance is too low to access the API.", { type: "invalid_request_error" })),
    unpaid,
  ],
  [
    "DashScope",
    "Arrearage",
    json(400, {
      code: "Arrearage",
      message: "Access denied, please make sure your account is in good standing.",
    }),
    unpaid,
  ],
  ["Zhipu", "a number as code", json(429, error("余额不足", { code: "1113" })), unpaid],
  [
    "Gemini",
    "a rate, in the words of a quota",
    json(
      429,
      google(
        429,
        "You exceeded your current quota, please check your plan and billing details.",
        "RESOURCE_EXHAUSTED",
        [{ "@type": "RetryInfo", retryDelay: "32s" }],
      ),
    ),
    { ...rate, retryAfterMs: 32_000 },
  ],
  [
    "Groq",
    "a rate with the wait in the message",
    json(
      429,
      error("Rate limit reached on tokens per minute. Please try again in 1m2.5s.", {
        code: "rate_limit_exceeded",
      }),
    ),
    { ...rate, retryAfterMs: 62_500 },
  ],
  ["Mistral", "a flat rate limit", json(429, { message: "Requests rate limit exceeded" }), rate],
  [
    "Azure",
    "a number as text",
    json(429, error("Requests have exceeded the call rate limit.", { code: "429" })),
    rate,
  ],
  ["TGI", "an overload as 429", json(429, { error: "Model is overloaded", error_type: "overloaded" }), down],
  ["TGI", "424", json(424, { error: "Request failed during generation", error_type: "generation" }), down],
  ["Groq", "498", json(498, error("Flex tier capacity exceeded", { code: "capacity_exceeded" })), down],
  [
    "llama-server",
    "503 while it loads",
    json(503, error("Loading model", { code: 503, type: "unavailable_error" })),
    down,
  ],
  [
    "Azure",
    "the content filter",
    json(
      400,
      error(
        "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
        { code: "content_filter", innererror: { code: "ResponsibleAIPolicyViolation" } },
      ),
    ),
    refused,
  ],
  [
    "OpenRouter",
    "403 for flagged input",
    json(
      403,
      error("Your input was flagged", {
        code: 403,
        metadata: { reasons: ["violence"], flagged_input: "Hi" },
      }),
    ),
    refused,
  ],
  [
    "DashScope",
    "a flat code",
    json(400, { code: "DataInspectionFailed", message: "Input data may contain inappropriate content." }),
    refused,
  ],
  [
    "xAI",
    "403 without credit",
    json(403, { code: "no permission", error: "Your newly created team doesn't have any credits yet." }),
    unpaid,
  ],
  [
    "SiliconFlow",
    "403 without balance",
    json(403, { code: 30001, message: "Sorry, your account balance is insufficient" }),
    unpaid,
  ],
  [
    "Azure",
    "403 for a volume",
    json(403, error("Out of call volume quota. Quota will be replenished in 5.02:10:00.", { code: "403" })),
    quota,
  ],
  [
    "Cloudflare",
    "403 with a web page",
    body("<!DOCTYPE html><h1>Sorry, you have been blocked</h1><p>unauthorized</p>", "text/html", 403),
    { code: "bad_request", says: /firewall.*_BASE_URL/, never: "API key" },
  ],
  [
    "LiteLLM",
    "a budget",
    json(400, error("Budget has been exceeded! Current cost: 1.2", { type: "budget_exceeded", code: "400" })),
    quota,
  ],
];

describeDialects("the words about the account", accounts);
