import { succeed, type Command } from "./command.ts";

export const clearContext: Command = {
  name: "clearcontext",
  description: "Remove the context.",
  args: [],
  async run({ store, owner, forget }) {
    await store.clearContext(owner.client);
    // The text stands near the beginning of every prompt of this client, so what is kept of them serves no more.
    forget(true);
    return succeed({ message: "The context is gone." });
  },
};
