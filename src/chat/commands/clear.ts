import { succeed, type Command } from "./command.ts";

export const clear: Command = {
  name: "clear",
  description: "Forget the history of this conversation; the context stays.",
  args: [],
  async run({ store, owner, conversation, forget }) {
    await store.clear(owner.client, conversation);
    forget(false);
    return succeed({ message: "The history of this conversation is gone." });
  },
};
