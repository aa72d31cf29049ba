import { refuse, succeed, withoutText, type Command } from "./command.ts";

/** Names of languages are short; a longer value usually comes from a misplaced quote. */
const MAX_LANGUAGE_CHARS = 64;

const SYSTEM =
  "You are a translator. Translate the user's text into the language that the first line names. " +
  "Reply with the translation only.";

export const translate: Command = {
  name: "translate",
  description: "Translate a text.",
  args: [
    { name: "text", example: "Good morning" },
    { name: "target_language", example: "Spanish" },
  ],
  async run({ args, ask, maxTokens, sampling }) {
    const text = args.get("text") as string;
    const language = (args.get("target_language") as string).trim();
    if (text.trim() === "") return refuse("The text must not be empty.");
    if (language === "" || language.length > MAX_LANGUAGE_CHARS) {
      return refuse(
        `target_language must be the name of a language, at most ${MAX_LANGUAGE_CHARS} characters.`,
      );
    }
    const generation = await ask({
      system: SYSTEM,
      turns: [{ role: "user", content: `Translate into ${language}:\n\n${text}` }],
      ofConversation: false,
      maxTokens,
      sampling: { temperature: 0.2, ...sampling },
    });
    const translation = generation.text.trim();
    if (translation === "") return withoutText(generation);
    return succeed({ translation, target_language: language }, generation);
  },
};
