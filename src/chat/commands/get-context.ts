import { succeed, type Command } from "./command.ts";

export const getContext: Command = {
  name: "getcontext",
  description: "Show the context.",
  args: [],
  async run({ store, owner }) {
    return succeed({ context: await store.context(owner.client) });
  },
};
