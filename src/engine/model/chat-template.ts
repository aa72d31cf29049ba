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
 * Zephyr's template, as TinyLlama-Chat was trained on. Its role markers are plain text. The general way, by the Jinja
 * source in the model file, gives the same tokens at 40 times the cost.
 */
class ZephyrChatWrapper extends ChatWrapper {
  override readonly wrapperName = "Zephyr";

  override generateContextState({
    chatHistory,
  }: ChatWrapperGenerateContextStateOptions): ChatWrapperGeneratedContextState {
    const parts = chatHistory.map((item, index) => {
      const role = item.type === "model" ? "assistant" : item.type;
      const begin = new SpecialTokensText(`${index > 0 ? "\n" : ""}<|${role}|>\n`);
      if (item.type === "system")
        return LlamaText([begin, LlamaText.fromJSON(item.text), new SpecialToken("EOS")]);
      if (item.type === "user") return LlamaText([begin, item.text, new SpecialToken("EOS")]);
      const text = this.generateModelResponseText(item.response);
      const open = index === chatHistory.length - 1;
      return LlamaText([begin, text, ...(open ? [] : [new SpecialToken("EOS")])]);
    });
    return { contextText: LlamaText(parts), stopGenerationTriggers: [LlamaText(new SpecialToken("EOS"))] };
  }
}

/** Names that can be forced besides `auto` and `zephyr`, in lower case. */
const specialized = new Map(specializedChatWrapperTypeNames.map((name) => [name.toLowerCase(), name]));

/**
 * The template that prompts are built with. `auto` takes the one in the model file; it costs up to a second, so it is
 * resolved once.
 *
 * @throws Error when the name is unknown.
 */
export function chatTemplate(name: string, model: LlamaModel): ChatWrapper {
  const wanted = name.toLowerCase();
  if (wanted === "zephyr") return new ZephyrChatWrapper();
  if (wanted === "auto") return resolveChatWrapper(model, { warningLogs: false });
  const type = specialized.get(wanted);
  if (!type) {
    const known = ["auto", "zephyr", ...specialized.keys()].join(", ");
    throw new Error(`The chat template "${name}" is unknown; known are ${known}.`);
  }
  return resolveChatWrapper(model, { type, warningLogs: false }) ?? new ZephyrChatWrapper();
}
