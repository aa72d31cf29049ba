import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ChatSocket } from "../support/chat-socket.ts";
import { modelTemplates } from "../support/model-templates.ts";
import { startService, type Service } from "../support/service.ts";
import { endlessModel } from "../support/tiny-gguf.ts";

/** The tiny model writes random words and never ends a block. */
describe("a local model whose template opens the reasoning", () => {
  let service: Service;

  beforeAll(async () => {
    const { jinja, tokens } = modelTemplates["Qwen 3 that always thinks"];
    service = await startService({ MODEL_PATH: await endlessModel(jinja, tokens), MAX_OUTPUT_TOKENS: "12" });
  });
  afterAll(() => service.stop());

  it("sends its first tokens as reasoning, which counts in max_tokens", async () => {
    const chat = await ChatSocket.greeted(`${service.url}/ws/chat?stream=true`);
    const end = await chat.ask("Tell me about the water", { id: "m", reasoning: true });
    expect(end).toMatchObject({
      content: "",
      finish_reason: "length",
      usage: { completion_tokens: 12, reasoning_tokens: 12 },
    });
    const frames = chat.frames.filter(({ type }) => type === "reasoning");
    expect(frames.map(({ content }) => content).join("")).toMatch(/\S/);
    expect(chat.frames.filter(({ type }) => type === "token")).toEqual([]);
    expect(await chat.command('/analyze text="I love it"')).toMatchObject({ status: "success" });
    await chat.close();
  });
});
