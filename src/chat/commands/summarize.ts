import { refuse, succeed, withoutText, type Command } from "./command.ts";

const INSTRUCTION =
  "Summarize our conversation so far in a few sentences. Name the questions and what was answered. Reply with the summary only.";

export const summarize: Command = {
  name: "summarize",
  description: "Summarize this conversation.",
  args: [],
  async run({ store, owner, conversation, ask, systemPrompt, maxTokens, sampling }) {
    const turns = await store.turns(owner.client, conversation);
    if (turns.length === 0) return refuse("There is nothing to summarize yet. Send a message first.");
    // One more turn after the whole conversation: a slot that still holds it only processes the instruction.
    const generation = await ask({
      system: systemPrompt,
      turns: [...turns, { role: "user", content: INSTRUCTION }],
      ofConversation: true,
      maxTokens,
      sampling,
    });
    const summary = generation.text.trim();
    return summary === "" ? withoutText(generation) : succeed({ summary }, generation);
  },
};
