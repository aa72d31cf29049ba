import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ChatSocket, type Frame } from "../support/chat-socket.ts";
import { modelTemplates, type ModelTemplate } from "../support/model-templates.ts";
import { startService, type Service } from "../support/service.ts";
import { endlessModel } from "../support/tiny-gguf.ts";

/** Reasoning blocks are not repeated. Without a history, all turns are one text, which changes at its beginning. */
const repeats = ({ begin, shape }: ModelTemplate): boolean =>
  !/think[>\]]/i.test(begin) && shape?.history !== false;

function expectNote({ jinja, shape }: ModelTemplate, note: string | undefined): void {
  if (shape !== undefined) expect(note).toBeUndefined();
  else if (jinja === null)
    expect(note).toMatch(/^The model file has no chat template\. Prompts have the form/);
  else
    expect(note).toMatch(
      /^The chat template of the model file cannot be used \(.+\)\. Prompts have the form/,
    );
}

interface Usage {
  readonly prompt_tokens: number;
  readonly cached_tokens: number;
}
const usageOf = (frame: Frame) => frame["usage"] as Usage;

const templates = Object.entries<ModelTemplate>(modelTemplates);

describe.each(templates)("a service whose model has the chat template of %s", (_, template) => {
  const reasons = template.closing !== undefined;
  let service: Service;
  let chat: ChatSocket;

  beforeAll(async () => {
    service = await startService({
      MODEL_PATH: await endlessModel(template.jinja, template.tokens),
      MAX_OUTPUT_TOKENS: "12",
      SYSTEM_PROMPT: "You are a helpful assistant.",
    });
    chat = await ChatSocket.greeted(`${service.url}/ws/chat?stream=true`);
  });
  afterAll(() => service.stop());

  /** Asks for an answer, which is all reasoning if the template opens the reasoning: the model never ends it. */
  async function answered(text: string): Promise<Frame> {
    const from = chat.frames.length;
    const frame = await chat.ask(text, { reasoning: true });
    expect(frame).toMatchObject({ type: "message", finish_reason: "length" });
    const received = chat.frames.slice(from).filter(({ type }) => type === "reasoning");
    const reasoning = received.map(({ content }) => content).join("");
    const [empty, written] = reasons ? [frame["content"], reasoning] : [reasoning, frame["content"]];
    expect(written).toMatch(/\S/);
    expect(empty).toBe("");
    return frame;
  }

  it("starts with a note exactly if the template cannot be used", () => {
    expectNote(template, service.stderr().match(/Note +(.*chat template.*)/)?.[1]);
  });

  it("chats over several turns, and reuses what it has processed", async () => {
    const first = await answered("Tell me about the water");
    const second = await answered("And the people?");
    if (repeats(template))
      expect(usageOf(second).cached_tokens).toBeGreaterThanOrEqual(usageOf(first).prompt_tokens);
    else expect(usageOf(second).cached_tokens).toBeGreaterThan(0);
  });

  it("runs the commands that ask the model, with a context", async () => {
    const written = reasons
      ? { status: "error", message: expect.stringContaining("larger max_tokens") as string }
      : { status: "success" };
    const ok = { status: "success" };
    expect(await chat.command('/setcontext text="I like short answers."')).toMatchObject(ok);
    expect(await chat.command("/summarize")).toMatchObject(written);
    expect(await chat.command('/translate text="Good morning" target_language="Spanish"')).toMatchObject(
      written,
    );
    expect(await chat.command('/analyze text="I love it"')).toMatchObject(ok);
    await answered("Go on");
  });
});
