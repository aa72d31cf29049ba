import { ServiceError } from "../../core/errors.ts";
import { refuse, succeed, type Command } from "./command.ts";

/** The share of the room for prompts that stays free for the messages themselves. */
const MESSAGE_SHARE = 0.25;

export const setContext: Command = {
  name: "setcontext",
  description: "Give the model a text to keep in mind in every answer to you.",
  args: [{ name: "text", example: "I am a beginner in Python." }],
  async run(context) {
    const { args, store, owner, countTokens, windowTokens, maxOutputTokens, systemPrompt } = context;
    const text = args.get("text") as string;
    if (text.trim() === "") return refuse("The context is empty; use /clearcontext to remove it.");
    const tokens = await countTokens(text);
    if (windowTokens !== null) {
      // Later messages will need the whole limit, whatever this frame asks for.
      const room = Math.floor((windowTokens - maxOutputTokens) * (1 - MESSAGE_SHARE));
      const limit = Math.max(0, room - (await countTokens(systemPrompt)));
      if (tokens > limit)
        return refuse(`The context has ${tokens} tokens; this model has room for ${limit}.`);
    }
    try {
      await store.setContext(owner, text);
    } catch (error) {
      if (error instanceof ServiceError && error.code === "context_refused") return refuse(error.message);
      throw error;
    }
    // What is kept of the prompts under the earlier context serves no more.
    context.forget(true);
    context.prepare(text);
    return succeed({ context: text, tokens });
  },
};
