import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ChatSocket, type Frame } from "../support/chat-socket.ts";
import { modelTemplates, type ModelTemplate } from "../support/model-templates.ts";
import { startService, type Service } from "../support/service.ts";
import { endlessModel } from "../support/tiny-gguf.ts";

const all = Object.entries<ModelTemplate>(modelTemplates);

interface Usage {
  readonly prompt_tokens: number;
  readonly cached_tokens: number;
}
const usageOf = (frame: Frame) => frame["usage"] as Usage;

describe.each(all)("a model with the chat template of %s", (_, { jinja, tokens, shape, begin }) => {
  let service: Service;
  let chat: ChatSocket;

  beforeAll(async () => {
    service = await startService({
      MODEL_PATH: await endlessModel(jinja, tokens),
      MAX_OUTPUT_TOKENS: "12",
      SYSTEM_PROMPT: "You are a helpful assistant.",
    });
    chat = await ChatSocket.greeted(`${service.url}/ws/chat`);
  });
  afterAll(() => service.stop());

  it("chats over several turns, and reuses what it has processed", async () => {
    const first = await chat.ask("Tell me about the water");
    expect(first).toMatchObject({ type: "message", finish_reason: "length" });
    expect(first["content"]).toMatch(/\S/);
    const second = await chat.ask("And the people?");
    expect(second).toMatchObject({ type: "message", finish_reason: "length" });
    // Reasoning blocks are not repeated. Without a history, all turns are one text, which changes at its beginning.
    const repeats = !begin.includes("think>") && shape?.history !== false;
    if (repeats) expect(usageOf(second).cached_tokens).toBeGreaterThanOrEqual(usageOf(first).prompt_tokens);
    else expect(usageOf(second).cached_tokens).toBeGreaterThan(0);
  });

  it.each(["", "I like short answers."])(
    "runs the commands that ask the model; context: %j",
    async (context) => {
      if (context !== "")
        expect(await chat.command(`/setcontext text="${context}"`)).toMatchObject({ status: "success" });
      const results = [
        await chat.command("/summarize"),
        await chat.command('/translate text="Good morning" target_language="Spanish"'),
        await chat.command('/analyze text="I love it"'),
      ];
      for (const result of results) expect(result).toMatchObject({ status: "success" });
      expect(await chat.ask("Go on")).toMatchObject({ type: "message", finish_reason: "length" });
    },
  );

  it("starts with a note exactly if its template cannot be used", () => {
    const note = service.stderr().match(/Note +(.*chat template.*)/)?.[1];
    if (shape !== undefined) expect(note).toBeUndefined();
    else if (jinja === null)
      expect(note).toMatch(/^The model file has no chat template\. Prompts have the form/);
    else
      expect(note).toMatch(
        /^The chat template of the model file cannot be used \(.+\)\. Prompts have the form/,
      );
  });
});
