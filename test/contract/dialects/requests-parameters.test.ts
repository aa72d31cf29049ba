import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ChatRequest } from "../../../src/providers/provider.ts";
import { answerOf, chatRequest, textOf } from "../../support/chat-request.ts";
import { answerText, status, whole } from "../../support/fault-scripts.ts";
import { startFaultServer, type FaultServer, type SeenBody } from "../../support/fault-server.ts";
import { remoteProvider } from "../../support/remote-provider.ts";

const openAi = (message: string, more: object = {}) => ({
  error: { message, type: "invalid_request_error", param: null, code: null, ...more },
});
const sent = 5000;

/** A refusal in the words of a server, and the fields of the next body; `null`: the refusal is final. */
type Row = readonly [server: string, body: unknown, next: Readonly<Record<string, unknown>> | null];

const limit = (value: number) => ({ max_tokens: value, max_completion_tokens: undefined });
const renamed = { max_tokens: undefined, max_completion_tokens: sent };

/** Refused values of the token limit. All were sent with 5000. */
const limits: readonly Row[] = [
  ["between", openAi("max_tokens must be between 1 and 4096"), limit(4096)],
  [
    "OpenAI, completion tokens",
    openAi(
      "max_tokens is too large: 5000. This model supports at most 4096 completion tokens, whereas you provided 5000.",
      { param: "max_tokens", code: "invalid_value" },
    ),
    limit(4096),
  ],
  [
    "OpenAI, above the maximum",
    openAi(
      "Invalid 'max_tokens': integer above maximum value. Expected a value <= 4096, but got 5000 instead.",
      { param: "max_tokens", code: "integer_above_max_value" },
    ),
    limit(4096),
  ],
  [
    "OpenAI, below the minimum",
    openAi(
      "Invalid 'max_tokens': integer below minimum value. Expected a value >= 5016, but got 5000 instead.",
      { param: "max_tokens", code: "integer_below_min_value" },
    ),
    limit(5016),
  ],
  ["DeepSeek", openAi("Invalid max_tokens value, the valid range of max_tokens is [1, 4096]"), limit(4096)],
  [
    "DashScope",
    openAi("<400> InternalError.Algo.InvalidParameter: Range of max_tokens should be [1, 512]"),
    limit(512),
  ],
  ["GLM", openAi("max_tokens参数非法：限制数值范围[1,4096]"), limit(4096)],
  [
    "MiMo",
    openAi("field MaxTokens invalid, should be in [1, 4096]", { param: "max_tokens", code: "3" }),
    limit(4096),
  ],
  [
    "Ark",
    {
      error: {
        code: "InvalidParameter",
        message:
          "The parameter max_tokens specified in the request is not valid: integer above maximum value, expected a value <= 4096, but got 5000 instead. Request id: 021",
        param: "max_tokens",
        type: "BadRequest",
      },
    },
    limit(4096),
  ],
  [
    "Groq",
    openAi(
      "`max_tokens` must be less than or equal to `4096`, the maximum value for `max_tokens` is less than the `context_window` for this model",
    ),
    limit(4096),
  ],
  [
    "Gemini",
    [
      {
        error: {
          code: 400,
          message:
            "Unable to submit request because it has a maxOutputTokens value of 5000 but the supported range is from 1 (inclusive) to 4097 (exclusive). Update the value and try again.",
          status: "INVALID_ARGUMENT",
        },
      },
    ],
    limit(4096),
  ],
  [
    "FastAPI",
    {
      detail: [
        {
          type: "less_than_equal",
          loc: ["body", "max_tokens"],
          msg: "Input should be less than or equal to 4096",
          input: sent,
        },
      ],
    },
    limit(4096),
  ],
  [
    "FastAPI with pydantic 1",
    { detail: [{ loc: ["body", "max_tokens"], msg: "ensure this value is less than 4097" }] },
    limit(4096),
  ],
  [
    "Mistral",
    {
      object: "error",
      message: {
        detail: [
          {
            type: "less_than_equal",
            loc: ["body", "max_tokens"],
            msg: "Input should be less than or equal to 4096",
          },
        ],
      },
      type: "invalid_request_error",
    },
    limit(4096),
  ],
  [
    "Anthropic",
    openAi(
      "max_tokens: 5000 > 4096, which is the maximum allowed number of output tokens for claude-3-haiku-20240307",
    ),
    limit(4096),
  ],
  [
    "Cohere",
    {
      message:
        "too many tokens: max tokens must be less than or equal to 4096, the maximum output for this model - received 5000.",
    },
    limit(4096),
  ],
  [
    "Bedrock",
    openAi(
      "The maximum tokens you requested exceeds the model limit of 4096. Try again with a maximum tokens value that is lower than 4096.",
    ),
    limit(4096),
  ],
  [
    "both bounds",
    openAi("max_tokens must be greater than or equal to 1 and less than or equal to 4096"),
    limit(4096),
  ],
  ["both bounds as signs", openAi("invalid max_tokens: expected 1 <= max_tokens <= 4096"), limit(4096)],
  ["a plain comparison", openAi("max_tokens (5000) > 4096"), limit(4096)],
  ["a value above the limit", openAi("The value 5000 for max_tokens is larger than 4096"), limit(4096)],
  ["a value not supported above", openAi("max_tokens is not supported above 4096"), limit(4096)],
  ["an open interval", openAi("max_tokens must be in the range (0, 4097)"), limit(4096)],
  [
    "serde",
    openAi("max_tokens: invalid value: integer `5000`, expected a value in range 1..=4096"),
    limit(4096),
  ],
  ["a range with a dash", openAi("max_tokens out of range (1-4096)"), limit(4096)],
  ["a model's name with digits", openAi("max_tokens: the maximum for gpt-4-32 is 4096"), limit(4096)],
  ["a gateway", openAi("max_tokens (5000) exceeds model's maximum output tokens (4,096)"), limit(4096)],
  [
    "TGI",
    {
      error:
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 96 `inputs` tokens and 5000 `max_new_tokens`",
      error_type: "validation",
    },
    limit(4000),
  ],
  [
    "vLLM",
    openAi(
      "'max_tokens' or 'max_completion_tokens' is too large: 5000. This model's maximum context length is 4096 tokens and your request has 96 input tokens (5000 > 4096 - 96).",
      { type: "BadRequestError", code: 400 },
    ),
    limit(4000),
  ],
  [
    "vLLM, older",
    {
      object: "error",
      message:
        "This model's maximum context length is 4096 tokens. However, you requested 5096 tokens (96 in the messages, 5000 in the completion). Please reduce the length of the messages or completion.",
      type: "BadRequestError",
      code: 400,
    },
    limit(4000),
  ],
  [
    "OpenRouter",
    openAi(
      "This endpoint's maximum context length is 4096 tokens. However, you requested about 5096 tokens (96 of text input, 5000 in the output).",
    ),
    limit(4000),
  ],
  ["a value without a range", openAi("max_tokens is too large", { param: "max_tokens" }), null],
  ["a value that is only called invalid", openAi("Invalid max_tokens"), null],
  ["a number that does not exclude the value", openAi("max_tokens must be at most 9000"), null],
];

/** Refused names. */
const names: readonly Row[] = [
  [
    "OpenAI",
    openAi(
      "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
      { param: "max_tokens", code: "unsupported_parameter" },
    ),
    renamed,
  ],
  ["OpenAI, unknown", openAi("Unrecognized request argument supplied: max_tokens"), renamed],
  ["OpenAI, only by its code", openAi("No.", { param: "max_tokens", code: "unknown_parameter" }), renamed],
  [
    "vLLM",
    {
      object: "error",
      message:
        "[{'type': 'extra_forbidden', 'loc': ('body', 'max_tokens'), 'msg': 'Extra inputs are not permitted', 'input': 5000}]",
      code: 400,
    },
    renamed,
  ],
  [
    "FastAPI",
    {
      detail: [
        { type: "extra_forbidden", loc: ["body", "max_tokens"], msg: "Extra inputs are not permitted" },
      ],
    },
    renamed,
  ],
  [
    "serde",
    openAi("unknown field `max_tokens`, expected one of `model`, `stop`, `seed`, `max_completion_tokens`"),
    renamed,
  ],
  [
    "Gemini",
    openAi(`Invalid JSON payload received. Unknown name "max_tokens": Cannot find field.`, { code: 400 }),
    renamed,
  ],
  ["Groq", openAi("property 'max_tokens' is unsupported"), renamed],
  ["llama-cpp-python", openAi("create() got an unexpected keyword argument 'max_tokens'"), renamed],
  ["a deprecation", openAi("max_tokens is deprecated for this model, use max_completion_tokens"), renamed],
  ["advice only", openAi("Please use 'max_completion_tokens' instead of 'max_tokens'"), renamed],
  ["a parameter that is not valid", openAi("'max_tokens' is not a valid parameter"), renamed],
  [
    "seed, by Gemini",
    openAi(`Invalid JSON payload received. Unknown name "seed": Cannot find field.`),
    { seed: undefined, temperature: 0.3, ...limit(sent) },
  ],
  [
    "temperature, by a reasoning model",
    openAi(
      "Unsupported value: 'temperature' does not support 0.3 with this model. Only the default (1) value is supported.",
      { param: "temperature", code: "unsupported_value" },
    ),
    { temperature: undefined, seed: 7 },
  ],
  [
    "two names at once, by Zod",
    openAi("Unrecognized key(s) in object: 'seed', 'stream_options'"),
    { seed: undefined, stream_options: undefined, temperature: 0.3 },
  ],
  [
    "stop, by xAI",
    openAi("Argument not supported on this model: 'stop'"),
    { stop: undefined, temperature: 0.3 },
  ],
  [
    "fewer stop texts",
    openAi(
      "Invalid 'stop': array too long. Expected an array with maximum length 2, but got an array with length 4 instead.",
      { param: "stop", code: "array_above_max_length" },
    ),
    { stop: ["1", "2"] },
  ],
  [
    "stop with another bad value",
    openAi("'stop' must be a string", { param: "stop" }),
    { stop: undefined, temperature: 0.3 },
  ],
  [
    "temperature beside top_p",
    openAi("`temperature` and `top_p` cannot both be specified for this model. Please use only one."),
    { top_p: undefined, temperature: 0.3 },
  ],
  ["a name without quotes", openAi("seed is not supported by this provider"), { seed: undefined }],
  ["a temperature out of range", openAi("'temperature' must be between 0 and 0.2"), null],
  ["a seed out of range", openAi("'seed' must be at most 5", { param: "seed" }), null],
];

describe("a refused parameter, in the words of", () => {
  let server: FaultServer;

  beforeAll(async () => void (server = await startFaultServer()));
  afterAll(() => server.close());

  const request = (changes: Partial<ChatRequest> = {}) =>
    chatRequest("Hi", {
      maxTokens: sent,
      sampling: { temperature: 0.3, topP: 0.9, seed: 7, stop: ["1", "2", "3", "4", "5"] },
      ...changes,
    });
  const bodies = () => server.requests.map(({ body }): SeenBody => body);

  it.each([...limits, ...names])("%s", async (_, refusal, next) => {
    const before = server.requests.length;
    const provider = remoteProvider("openai", server.baseUrl, { contextTokens: 32_768 });
    server.play(status(400, refusal), whole());
    const answer = answerOf(provider, request());
    if (next === null) {
      await expect(answer).rejects.toMatchObject({ code: "bad_request" });
      expect(server.requests).toHaveLength(before + 1);
      return;
    }
    expect(textOf(await answer)).toBe(answerText);
    expect(server.requests).toHaveLength(before + 2);
    for (const [name, value] of Object.entries(next)) expect(bodies().at(-1)?.[name]).toEqual(value);
  });

  it("remembers a range, and sends smaller limits unchanged", async () => {
    const provider = remoteProvider("openai", server.baseUrl, { contextTokens: 32_768 });
    const refusal = openAi("max_tokens must be between 16 and 4096");
    server.play(status(400, refusal), whole());
    await answerOf(provider, request());
    for (const [maxTokens, expected] of [
      [sent, 4096],
      [100, 100],
      [5, 16],
    ] as const) {
      const before = server.requests.length;
      await answerOf(provider, request({ maxTokens }));
      expect(server.requests).toHaveLength(before + 1);
      expect(bodies().at(-1)).toMatchObject({ max_tokens: expected });
    }
  });

  it("forgets a limit that depended on the length of the prompt", async () => {
    const provider = remoteProvider("openai", server.baseUrl, { contextTokens: 32_768 });
    server.play(status(400, limits.find(([name]) => name === "vLLM")?.[1]), whole());
    await answerOf(provider, request());
    expect(bodies().at(-1)).toMatchObject({ max_tokens: 4000 });
    await answerOf(provider, request());
    expect(bodies().at(-1)).toMatchObject({ max_tokens: sent });
  });

  it("keeps response_format if only one schema was refused, and gives it up if it is not supported", async () => {
    const provider = remoteProvider("openai", server.baseUrl, { contextTokens: 32_768 });
    const jsonSchema = { type: "object" };
    const json = () => whole(['{"a":true}']);
    server.play(
      status(400, openAi("Invalid schema for response_format 'answer': it must be closed.")),
      json(),
    );
    await answerOf(provider, request({ jsonSchema }));
    expect(bodies().at(-1)).not.toHaveProperty("response_format");
    await answerOf(provider, request({ jsonSchema }));
    expect(bodies().at(-1)).toHaveProperty("response_format");
    server.play(status(400, openAi("This response_format type is unavailable now")), json());
    await answerOf(provider, request({ jsonSchema }));
    await answerOf(provider, request({ jsonSchema }));
    expect(bodies().at(-1)).not.toHaveProperty("response_format");
  });

  it("learns nothing from a change that the server refuses as well", async () => {
    const provider = remoteProvider("openai", server.baseUrl, { contextTokens: 32_768 });
    const refusal = status(400, openAi("max_tokens must be between 1 and 4096"));
    server.play(refusal, refusal, whole());
    await expect(answerOf(provider, request())).rejects.toMatchObject({ code: "bad_request" });
    await answerOf(provider, request());
    expect(bodies().at(-1)).toMatchObject({ max_tokens: sent });
  });
});
