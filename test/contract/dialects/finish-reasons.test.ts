import { expect, it } from "vitest";
import type { AnswerPart } from "../../../src/providers/provider.ts";
import { chainOf } from "../../support/chain.ts";
import { chatRequest } from "../../support/chat-request.ts";
import { chunk, describeDialects, piece, stream, type DialectRow } from "../../support/dialects.ts";
import { done } from "../../support/fault-scripts.ts";
import { startFaultServer } from "../../support/fault-server.ts";
import { remoteProvider } from "../../support/remote-provider.ts";

const TEXT = "Hello";
const whole = { text: TEXT } as const;
const cut = { text: TEXT, reason: "length" } as const;
const refused = { code: "content_refused", text: TEXT } as const;
const broken = { code: "bad_answer", text: TEXT } as const;

/** An answer that ends with a finish reason in a chunk of its own. */
function ends(reason: unknown) {
  return stream(piece(TEXT), chunk({ delta: {}, finish_reason: reason }), done);
}

const words: readonly DialectRow[] = [
  ["OpenAI", "stop", ends("stop"), whole],
  ["OpenAI", "length", ends("length"), cut],
  ["OpenAI", "content_filter", ends("content_filter"), refused],
  ["Gemini", "STOP", ends("STOP"), whole],
  ["Gemini", "MAX_TOKENS", ends("MAX_TOKENS"), cut],
  ["Gemini", "FINISH_REASON_MAX_TOKENS", ends("FINISH_REASON_MAX_TOKENS"), cut],
  ["a proxy of Gemini", "FinishReason.STOP", ends("FinishReason.STOP"), whole],
  ["Gemini", "SAFETY", ends("SAFETY"), refused],
  ["Gemini", "PROHIBITED_CONTENT", ends("PROHIBITED_CONTENT"), refused],
  ["Gemini", "content_filter: RECITATION", ends("content_filter: RECITATION"), refused],
  ["Gemini", "OTHER", ends("OTHER"), whole],
  ["Gemini", "MALFORMED_FUNCTION_CALL", ends("MALFORMED_FUNCTION_CALL"), broken],
  ["Mistral", "model_length", ends("model_length"), cut],
  ["Mistral", "error", ends("error"), broken],
  ["Cohere", "COMPLETE", ends("COMPLETE"), whole],
  ["Cohere", "STOP_SEQUENCE", ends("STOP_SEQUENCE"), whole],
  ["Cohere", "ERROR_LIMIT", ends("ERROR_LIMIT"), cut],
  ["Cohere", "ERROR_TOXIC", ends("ERROR_TOXIC"), refused],
  ["Cohere", "USER_CANCEL", ends("USER_CANCEL"), broken],
  ["DeepSeek", "insufficient_system_resource", ends("insufficient_system_resource"), broken],
  ["vLLM", "abort", ends("abort"), broken],
  ["TGI", "eos_token", ends("eos_token"), whole],
  ["TGI", "an object", ends({ reason: "length" }), cut],
  ["Anthropic", "end_turn", ends("end_turn"), whole],
  ["Anthropic", "model_context_window_exceeded", ends("model_context_window_exceeded"), cut],
  ["Anthropic", "refusal", ends("refusal"), refused],
  ["Bedrock", "guardrail_intervened", ends("guardrail_intervened"), refused],
  ["Zhipu", "sensitive", ends("sensitive"), refused],
  ["Zhipu", "network_error", ends("network_error"), broken],
  ["a proxy", "maxTokens", ends("maxTokens"), cut],
  ["a proxy", "max-tokens", ends("max-tokens"), cut],
  ["a server to come", "an unknown word", ends("vanished"), whole],
  ["a server to come", "a word of every object", ends("toString"), whole],
  [
    "a server to come",
    "an unknown word without text",
    stream(chunk({ delta: {}, finish_reason: "gone" }), done),
    { code: "bad_answer" },
  ],
  ["any", "none at all", stream(piece(TEXT), done), broken],
  ["any", "the text null only", stream(piece(TEXT, "null"), done), broken],
  ["a proxy", "finishReason", stream(piece(TEXT), chunk({ delta: {}, finishReason: "stop" }), done), whole],
  [
    "OpenAI",
    "a refusal in a field of its own",
    stream(chunk({ delta: { refusal: "No" } }), chunk({ delta: {}, finish_reason: "stop" })),
    { code: "content_refused" },
  ],
];

const reasoning = (finish_reason: unknown) => chunk({ delta: { reasoning_content: "Hm." }, finish_reason });

const early: readonly DialectRow[] = [
  [
    "a reasoning model",
    "stop on the reasoning",
    stream(reasoning("stop"), piece(TEXT), piece("", "stop"), done),
    whole,
  ],
  [
    "a reasoning model",
    "length after stop on the reasoning",
    stream(reasoning("stop"), piece(TEXT, "length"), done),
    cut,
  ],
  [
    "a proxy",
    "stop with an empty delta before the text",
    stream(piece("", "stop"), piece("Hel"), piece("lo"), done),
    whole,
  ],
  [
    "a proxy",
    "the text null in every chunk",
    stream(piece("Hel", "null"), piece("lo", "null"), piece("", "stop")),
    whole,
  ],
  ["a proxy", "the text none, then stop", stream(piece(TEXT, "none"), piece("", "stop")), whole],
  ["a proxy", "an empty text, then stop", stream(piece(TEXT, ""), piece("", "stop")), whole],
  ["a proxy", "stop in every chunk", stream(piece("Hel", "stop"), piece("lo", "stop"), done), whole],
  [
    "a reasoning model",
    "stop on the reasoning, a wait, the text",
    {
      steps: [
        { send: reasoning("stop") },
        { waitMs: 1500 },
        { send: piece(TEXT) + piece("", "stop") + done },
      ],
    },
    whole,
  ],
  [
    "a reasoning model",
    "stop on the reasoning, the text with a wait in it",
    {
      steps: [
        { send: reasoning("stop") + piece("Hel") },
        { waitMs: 1500 },
        { send: piece("lo", "stop") + done },
      ],
    },
    whole,
  ],
  [
    "a reasoning model",
    "stop on the reasoning, then a cut",
    { steps: [{ send: reasoning("stop") }, { waitMs: 100 }, { cut: true }] },
    { code: "bad_answer" },
  ],
  [
    "a proxy",
    "the last chunk twice",
    stream(piece("Hel"), piece("lo", "stop"), piece("lo", "stop"), done),
    whole,
  ],
];

describeDialects("the finish reason", words);
describeDialects("the early finish reason", early);

it("appends no second answer to one that ends with an unknown word, and keeps the provider in use", async () => {
  const [server, fallback] = await Promise.all([startFaultServer(), startFaultServer()]);
  server.play(ends("vanished"));
  const providers = [
    remoteProvider("openai", server.baseUrl),
    remoteProvider("huggingface", fallback.baseUrl),
  ];
  const chain = chainOf(providers, { breaker: { failures: 5, openMs: 60_000 } });
  for (let message = 0; message < 6; message++) {
    let text = "";
    const onPart = (part: AnswerPart) => void (text += part.type === "text-delta" ? part.text : "");
    const signal = new AbortController().signal;
    await expect(chain.stream(chatRequest("Hi"), { signal, onPart })).resolves.toMatchObject({
      reason: "stop",
    });
    expect(text).toBe(TEXT);
  }
  expect([server.requests.length, fallback.requests.length]).toEqual([6, 0]);
  await chain.close();
  await Promise.all([server.close(), fallback.close()]);
});
