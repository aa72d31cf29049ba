import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ChatRequest } from "../../../src/providers/provider.ts";
import { answerOf, chatRequest, textOf } from "../../support/chat-request.ts";
import { answerText, event, status, whole } from "../../support/fault-scripts.ts";
import {
  startFaultServer,
  type FaultScript,
  type FaultServer,
  type SeenBody,
} from "../../support/fault-server.ts";
import { remoteProvider } from "../../support/remote-provider.ts";

type Messages = NonNullable<SeenBody["messages"]>;

const openAi = (message: string, more: object = {}) => ({
  error: { message, type: "BadRequestError", ...more },
});
const inBand = (body: object): FaultScript => ({ steps: [{ send: event(body) }] });
const alternate = "Conversation roles must alternate user/assistant/user/assistant/...";

/** Refusals of a system message, each by a server that takes none. */
const systemRefusals: readonly (readonly [string, FaultScript])[] = [
  ["vLLM with Gemma 2", status(400, openAi("System role not supported"))],
  ["vLLM, older", status(400, { object: "error", message: "System role not supported", code: 400 })],
  [
    "llama-server with a template",
    status(500, {
      error: { code: 500, message: "System role not supported at row 1, column 72", type: "server_error" },
    }),
  ],
  [
    "TGI",
    status(422, {
      error: "Template error: invalid operation: System role not supported (in <string>:1)",
      error_type: "template_error",
    }),
  ],
  [
    "TGI within the stream",
    inBand({ error: "Template error: System role not supported", error_type: "template_error" }),
  ],
  [
    "LM Studio within the stream",
    inBand({
      error: {
        message: `Error rendering prompt with jinja template: "Only user and assistant roles are supported!".`,
      },
    }),
  ],
  ["Mistral's first templates", status(400, openAi("Only user and assistant roles are supported!"))],
  ["Ministral", status(500, openAi("Only user, assistant and tool roles are supported, got system."))],
  [
    "Gemini with Gemma 3",
    status(400, [
      {
        error: {
          code: 400,
          message: "Developer instruction is not enabled for models/gemma-3-27b-it",
          status: "INVALID_ARGUMENT",
        },
      },
    ]),
  ],
  [
    "OpenAI's o1-mini",
    status(400, {
      error: {
        message: "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
        type: "invalid_request_error",
        param: "messages[0].role",
        code: "unsupported_value",
      },
    }),
  ],
  [
    "FastAPI",
    status(422, {
      detail: [{ loc: ["body", "messages", 0, "role"], msg: "Input should be 'user' or 'assistant'" }],
    }),
  ],
  [
    "Anthropic",
    status(
      400,
      openAi(`messages: Unexpected role "system". The Messages API accepts a top-level parameter.`),
    ),
  ],
  ["a list of roles", status(400, openAi("Role must be either 'user' or 'assistant', got 'system'"))],
  ["serde", status(422, openAi("unknown variant `system`, expected `user` or `assistant`"))],
  [
    "a first message that must be the user's",
    status(400, openAi("Conversation must start with a user message")),
  ],
  ["a plain sentence", status(400, openAi("This model does not support system messages."))],
  ["a template that only knows turns", status(400, openAi(alternate))],
];

describe("the roles that a model's template takes", () => {
  let server: FaultServer;

  beforeAll(async () => void (server = await startFaultServer()));
  afterAll(() => server.close());

  const ask = async (turns: ChatRequest["turns"], provider = remoteProvider("openai", server.baseUrl)) => {
    const request = chatRequest("", { system: "Be kind.", context: "I am Ada.", turns });
    expect(textOf(await answerOf(provider, request))).toBe(answerText);
    return provider;
  };
  const sent = (): Messages => server.requests.at(-1)?.body.messages ?? [];
  const system = "Be kind.\n\nContext from the user:\nI am Ada.";
  const hi = { role: "user", content: "Hi" } as const;
  const hello = { role: "assistant", content: "Hello" } as const;

  it.each(systemRefusals)(
    "fold the system text into the first turn after a refusal of %s",
    async (_, refusal) => {
      const before = server.requests.length;
      server.play(refusal, whole());
      const provider = await ask([hi]);
      expect(server.requests).toHaveLength(before + 2);
      expect(sent()).toEqual([{ role: "user", content: `${system}\n\nHi` }]);
      await ask([hi, hello, { role: "user", content: "Again" }], provider);
      expect(server.requests).toHaveLength(before + 3);
      expect(sent()).toEqual([
        { role: "user", content: `${system}\n\nHi` },
        hello,
        { role: "user", content: "Again" },
      ]);
    },
  );

  it.each([
    alternate,
    "After the optional system message, conversation roles must alternate user and assistant roles",
    "Only user and assistant roles are supported, with the exception of an initial optional system message!",
    "Consecutive messages with the same role are not allowed",
    "Please ensure that multiturn requests alternate between user and model",
    "Unexpected role 'user' after role 'user'",
  ])("join adjacent turns and keep the system message after: %s", async (message) => {
    const before = server.requests.length;
    server.play(status(400, openAi(message)), whole());
    const provider = await ask([hi, { role: "user", content: "Still there?" }, hello, hello, hi]);
    const joined = [
      { role: "system", content: system },
      { role: "user", content: "Hi\n\nStill there?" },
      { role: "assistant", content: "Hello\n\nHello" },
      hi,
    ];
    expect(sent()).toEqual(joined);
    await ask([hi, { role: "user", content: "Still there?" }, hello, hello, hi], provider);
    expect(sent()).toEqual(joined);
    expect(server.requests).toHaveLength(before + 3);
  });

  it("join turns and then fold the system text if the template allows neither", async () => {
    const before = server.requests.length;
    server.play(({ body }) => {
      const roles = body.messages?.map(({ role }) => role) ?? [];
      const valid = roles.every((role, index) => role === (index % 2 === 0 ? "user" : "assistant"));
      return valid ? whole() : status(400, openAi(alternate));
    });
    await ask([hi, hi, hello, hi]);
    expect(server.requests).toHaveLength(before + 3);
    expect(sent()).toEqual([{ role: "user", content: `${system}\n\nHi\n\nHi` }, hello, hi]);
  });

  it("are learned beside a renamed parameter, in one answer", async () => {
    server.play(({ body }) => {
      if ("max_tokens" in body)
        return status(400, openAi("Unsupported parameter: 'max_tokens' is not supported."));
      if (body.messages?.[0]?.role === "system") return status(400, openAi("System role not supported"));
      return whole();
    });
    const provider = await ask([hi]);
    const before = server.requests.length;
    await ask([hi], provider);
    expect(server.requests).toHaveLength(before + 1);
    expect(server.requests.at(-1)?.body).toMatchObject({ max_completion_tokens: 256 });
  });

  it("do not change if there is nothing to fold or to join", async () => {
    const before = server.requests.length;
    const provider = remoteProvider("openai", server.baseUrl);
    server.play(status(400, openAi("System role not supported")));
    const answer = answerOf(provider, chatRequest("Hi", { system: "" }));
    await expect(answer).rejects.toMatchObject({ code: "bad_request" });
    expect(server.requests).toHaveLength(before + 1);
  });

  it("do not change because of an error that concerns no role", async () => {
    const before = server.requests.length;
    const provider = remoteProvider("openai", server.baseUrl);
    server.play(status(400, openAi("The system is busy, and the role of this account is limited")));
    await expect(answerOf(provider, chatRequest("Hi"))).rejects.toMatchObject({ code: "bad_request" });
    expect(server.requests).toHaveLength(before + 1);
  });
});
