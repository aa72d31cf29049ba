import { succeed, type Command } from "./command.ts";

export const clearContext: Command = {
  name: "clearcontext",
  description: "Remove the context.",
  args: [],
  async run({ store, owner }) {
    await store.clearContext(owner.client);
    return succeed({ message: "The context is gone." });
  },
};
