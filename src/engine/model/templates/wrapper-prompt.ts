import {
  ChatWrapper,
  LlamaText,
  SpecialToken,
  SpecialTokensText,
  type ChatHistoryItem,
  type ChatWrapperGenerateContextStateOptions,
  type ChatWrapperGeneratedContextState,
} from "node-llama-cpp";
import type { Turn } from "../../../core/fit-prompt.ts";
import { promptOf, type PromptParts, type PromptTemplate } from "./prompt-template.ts";

/** Prompts by a template that node-llama-cpp builds without Jinja. None of them opens a reasoning block. */
export class WrapperPrompt implements PromptTemplate {
  readonly name: string;
  readonly ends: readonly LlamaText[];
  readonly promptEnd = "";
  readonly #wrapper: ChatWrapper;

  constructor(wrapper: ChatWrapper) {
    this.#wrapper = wrapper;
    this.name = wrapper.wrapperName;
    this.ends = this.#generate(promptOf("", [{ role: "user", content: "x" }])).stopGenerationTriggers;
  }

  render(parts: PromptParts): LlamaText {
    return this.#generate(parts).contextText;
  }

  #generate({ system, turns, answerStart }: PromptParts): ChatWrapperGeneratedContextState {
    return this.#wrapper.generateContextState({ chatHistory: history(system, turns, answerStart) });
  }
}

/** History for the template. The last item is the answer to generate, with the text it begins with. */
function history(system: string, turns: readonly Turn[], answerStart: string): ChatHistoryItem[] {
  const items: ChatHistoryItem[] = system === "" ? [] : [{ type: "system", text: system }];
  for (const { role, content } of turns) {
    items.push(role === "user" ? { type: "user", text: content } : { type: "model", response: [content] });
  }
  items.push({ type: "model", response: [answerStart] });
  return items;
}

/**
 * The Zephyr template, which TinyLlama-Chat was trained on. Its role markers are plain text. Rendering the Jinja source
 * of the model file gives the same tokens at 40 times the cost.
 */
export class ZephyrChatWrapper extends ChatWrapper {
  override readonly wrapperName = "Zephyr";

  override generateContextState({
    chatHistory,
  }: ChatWrapperGenerateContextStateOptions): ChatWrapperGeneratedContextState {
    const parts = chatHistory.map((item, index) => {
      const role = item.type === "model" ? "assistant" : item.type;
      const header = new SpecialTokensText(`${index > 0 ? "\n" : ""}<|${role}|>\n`);
      if (item.type === "system")
        return LlamaText([header, LlamaText.fromJSON(item.text), new SpecialToken("EOS")]);
      if (item.type === "user") return LlamaText([header, item.text, new SpecialToken("EOS")]);
      const text = this.generateModelResponseText(item.response);
      const open = index === chatHistory.length - 1;
      return LlamaText([header, text, ...(open ? [] : [new SpecialToken("EOS")])]);
    });
    return { contextText: LlamaText(parts), stopGenerationTriggers: [LlamaText(new SpecialToken("EOS"))] };
  }
}
