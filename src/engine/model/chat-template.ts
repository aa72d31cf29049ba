import {
  ChatWrapper,
  LlamaText,
  resolveChatWrapper,
  SpecialToken,
  SpecialTokensText,
  specializedChatWrapperTypeNames,
  type ChatWrapperGenerateContextStateOptions,
  type ChatWrapperGeneratedContextState,
  type LlamaModel,
} from "node-llama-cpp";

/**
 * The Zephyr template, which TinyLlama-Chat was trained on. Its role markers are plain text. Rendering the Jinja source
 * of the model file gives the same tokens at 40 times the cost.
 */
class ZephyrChatWrapper extends ChatWrapper {
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

/** Template names accepted besides `auto` and `zephyr`, by their lower case. */
const specializedTypes = new Map(specializedChatWrapperTypeNames.map((name) => [name.toLowerCase(), name]));

/**
 * Returns the template for building prompts. `auto` takes the one in the model file. Resolving it takes up to a second,
 * so call this once per model.
 *
 * @throws Error when the name is unknown.
 */
export function chatTemplate(name: string, model: LlamaModel): ChatWrapper {
  const wanted = name.toLowerCase();
  if (wanted === "zephyr") return new ZephyrChatWrapper();
  if (wanted === "auto") return resolveChatWrapper(model, { warningLogs: false });
  const type = specializedTypes.get(wanted);
  if (!type) {
    const known = ["auto", "zephyr", ...specializedTypes.keys()].join(", ");
    throw new Error(`The chat template "${name}" is unknown. Use one of: ${known}.`);
  }
  return resolveChatWrapper(model, { type, warningLogs: false }) ?? new ZephyrChatWrapper();
}
