import { ServiceError } from "../../core/errors.ts";
import { refuse, succeed, type Command } from "./command.ts";

/** Share of the prompt space that stays free for messages. */
const MESSAGE_SHARE = 0.25;

export const setContext: Command = {
  name: "setcontext",
  description: "Set a text that the model takes into account in every answer to you.",
  args: [{ name: "text", example: "I am a beginner in Python." }],
  async run(context) {
    const { args, store, owner, countTokens, windowTokens, maxOutputTokens, systemPrompt } = context;
    const text = args.get("text") as string;
    if (text.trim() === "") return refuse("The context must not be empty. Use /clearcontext to remove it.");
    const tokens = await countTokens(text);
    if (windowTokens !== null) {
      // Later messages may use the whole output limit, even if this frame asks for less.
      const space = Math.floor((windowTokens - maxOutputTokens) * (1 - MESSAGE_SHARE));
      const limit = Math.max(0, space - (await countTokens(systemPrompt)));
      if (tokens > limit)
        return refuse(
          // A text above the window is not counted to its end.
          `The context has ${tokens > windowTokens ? "at least " : ""}${tokens} tokens, but this model has room for ${limit}. ` +
            "Shorten it.",
        );
    }
    try {
      await store.setContext(owner, text);
    } catch (error) {
      if (error instanceof ServiceError && error.code === "context_refused")
        return refuse(error.clientMessage);
      throw error;
    }
    // Cached state of prompts with the previous context is not reusable.
    context.forget(true);
    context.prepare(text);
    return succeed({ context: text, tokens });
  },
};
