import { succeed, type Command } from "./command.ts";

export const clear: Command = {
  name: "clear",
  description: "Clear the history of this conversation and keep the context.",
  args: [],
  async run({ store, owner, conversation, forget }) {
    await store.clear(owner.client, conversation);
    forget(false);
    return succeed({ message: "The history of this conversation was cleared." });
  },
};
