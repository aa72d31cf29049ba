import { refuse, succeed, type Command } from "./command.ts";

const INSTRUCTION =
  "Summarize our conversation so far in a few sentences. Name the questions and what was answered. Reply with the summary only.";

export const summarize: Command = {
  name: "summarize",
  description: "Summarize this conversation.",
  args: [],
  async run({ store, owner, conversation, ask, systemPrompt, maxTokens, sampling }) {
    const turns = await store.turns(owner.client, conversation);
    if (turns.length === 0) return refuse("There is nothing to summarize yet: say something first.");
    // The conversation as it stands plus one turn: a slot that still holds it processes the instruction only.
    const generation = await ask({
      system: systemPrompt,
      turns: [...turns, { role: "user", content: INSTRUCTION }],
      ofConversation: true,
      maxTokens,
      sampling,
    });
    return succeed({ summary: generation.text.trim() }, generation);
  },
};
