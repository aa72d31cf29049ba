import type { LlamaContextSequence, LlamaModel } from "node-llama-cpp";
import type { Model, Sampling } from "../chat-target.ts";
import { openCpuModel } from "../cpu-model.ts";

/** Process of the free-running control: takes orders over the fork channel until that closes. */
export type FreeRunningOrder =
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

process.on("message", (order: FreeRunningOrder) => void obey(order));
process.on("disconnect", () => process.exit(0));

async function obey(order: FreeRunningOrder): Promise<void> {
  if (order.type === "load") {
    loaded = await load(order);
    tell({ type: "ready" });
  } else if (order.type === "cancel") {
    cancelled.add(order.id);
  } else {
    try {
      tell(await answer(order));
    } catch (error) {
      tell({ type: "failed", id: order.id, message: error instanceof Error ? error.message : String(error) });
    }
    cancelled.delete(order.id);
  }
}

async function load(order: FreeRunningOrder & { type: "load" }): Promise<Loaded> {
  const { threads, slots, contextTokens } = order;
  const model = await openCpuModel(order.model.path, threads);
  const context = await model.createContext({ sequences: slots, contextSize: contextTokens, threads });
  const free = Array.from({ length: slots }, () => context.getSequence());
  return { model, sampling: order.model.sampling, free };
}

async function answer({
  id,
  prompt,
  maxTokens,
}: FreeRunningOrder & { type: "chat" }): Promise<FreeRunningReply> {
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
      tell({ type: "text", id, text: model.detokenize([token]) || " " });
      if (drawn.length >= maxTokens || cancelled.has(id)) break;
    }
    const usage = { promptTokens: tokens.length, completionTokens: drawn.length };
    return { type: "done", id, cancelled: cancelled.has(id), usage };
  } finally {
    free.push(sequence);
    waiting.shift()?.();
  }
}

function tell(reply: FreeRunningReply): void {
  process.send?.(reply);
}
