import { succeed, type Command } from "./command.ts";

export const clearContext: Command = {
  name: "clearcontext",
  description: "Remove the context.",
  args: [],
  async run({ store, owner, forget }) {
    await store.clearContext(owner.client);
    // The context is near the beginning of every prompt of this client, so no cached state is reusable.
    forget(true);
    return succeed({ message: "The context was removed." });
  },
};
