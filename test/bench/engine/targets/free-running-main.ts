import type { LlamaContextSequence, LlamaModel } from "node-llama-cpp";
import type { Model, Sampling } from "../chat-target.ts";
import { openCpuModel } from "../cpu-model.ts";

/** Command to the process of the free-running control, which runs until its fork channel closes. */
export type FreeRunningCommand =
  | {
      readonly type: "load";
      readonly model: Model;
      readonly threads: number;
      readonly slots: number;
      readonly contextTokens: number;
    }
  | { readonly type: "chat"; readonly id: number; readonly prompt: string; readonly maxTokens: number }
  | { readonly type: "cancel"; readonly id: number };

export type FreeRunningReply =
  | { readonly type: "ready" }
  | { readonly type: "text"; readonly id: number; readonly text: string }
  | {
      readonly type: "done";
      readonly id: number;
      readonly cancelled: boolean;
      readonly usage: { readonly promptTokens: number; readonly completionTokens: number };
    }
  | { readonly type: "failed"; readonly id: number; readonly message: string };

interface Loaded {
  readonly model: LlamaModel;
  readonly sampling: Sampling;
  readonly free: LlamaContextSequence[];
}

let loaded: Loaded | null = null;
const cancelled = new Set<number>();
const waiting: (() => void)[] = [];

process.on("message", (command: FreeRunningCommand) => void execute(command));
process.on("disconnect", () => process.exit(0));

async function execute(command: FreeRunningCommand): Promise<void> {
  if (command.type === "load") {
    loaded = await load(command);
    reply({ type: "ready" });
  } else if (command.type === "cancel") {
    cancelled.add(command.id);
  } else {
    try {
      reply(await answer(command));
    } catch (error) {
      reply({
        type: "failed",
        id: command.id,
        message: error instanceof Error ? error.message : String(error),
      });
    }
    cancelled.delete(command.id);
  }
}

async function load(command: FreeRunningCommand & { type: "load" }): Promise<Loaded> {
  const { threads, slots, contextTokens } = command;
  const model = await openCpuModel(command.model.path, threads);
  const context = await model.createContext({ sequences: slots, contextSize: contextTokens, threads });
  const free = Array.from({ length: slots }, () => context.getSequence());
  return { model, sampling: command.model.sampling, free };
}

async function answer({
  id,
  prompt,
  maxTokens,
}: FreeRunningCommand & { type: "chat" }): Promise<FreeRunningReply> {
  if (loaded === null) throw new Error("no model is loaded");
  const { model, sampling, free } = loaded;
  while (free.length === 0) await new Promise<void>((resolve) => waiting.push(resolve));
  const sequence = free.pop() as LlamaContextSequence;
  try {
    await sequence.clearHistory();
    const tokens = [model.tokens.bos ?? (0 as never), ...model.tokenize(prompt, true)];
    const drawn: typeof tokens = [];
    const seed = Math.floor(Math.random() * 2 ** 32);
    const { repeatPenalty, ...rest } = sampling;
    const penalty = { penalty: repeatPenalty, punishTokens: () => drawn.slice(-64), maxPunishTokens: 64 };
    for await (const token of sequence.evaluate(tokens, { ...rest, seed, repeatPenalty: penalty })) {
      drawn.push(token);
      reply({ type: "text", id, text: model.detokenize([token]) || " " });
      if (drawn.length >= maxTokens || cancelled.has(id)) break;
    }
    const usage = { promptTokens: tokens.length, completionTokens: drawn.length };
    return { type: "done", id, cancelled: cancelled.has(id), usage };
  } finally {
    free.push(sequence);
    waiting.shift()?.();
  }
}

function reply(message: FreeRunningReply): void {
  process.send?.(message);
}
