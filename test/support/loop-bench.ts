import { CostModel } from "../../src/engine/estimates/cost-model.ts";
import type { PreparedRequest } from "../../src/engine/ports.ts";
import { FairQueue } from "../../src/engine/scheduling/fair-queue.ts";
import { RequestState } from "../../src/engine/generation/request-state.ts";
import { Slot } from "../../src/engine/generation/slot.ts";
import { TickLoop } from "../../src/engine/loop/tick-loop.ts";
import { fakeKvCache } from "./fake-kv-cache.ts";
import { FakeContext, isOver, preparedRequest, recordedEvents, until } from "./fake-sequence.ts";
import { VirtualClock } from "./virtual-clock.ts";

/** Bytes that the cache assumes to move in a millisecond before it has measured. */
const ASSUMED_BYTES_PER_MS = 1_400_000;

export interface LoopBenchOptions {
  readonly slots: number;
  /** Milliseconds for one token of a prompt or an answer. */
  readonly tokenMs: number;
  /** Milliseconds to save or load one token. */
  readonly moveMs?: number;
  readonly budgetBytes?: number;
}

/** Runs the engine's loop on a virtual clock, over a fake native context in which each token takes time. */
export function loopBench({ slots, tokenMs, moveMs = 0.0001, budgetBytes = 1e12 }: LoopBenchOptions) {
  const context = new FakeContext();
  const clock = new VirtualClock();
  context.onMove = (tokens) => clock.advance(tokens * moveMs);
  context.onBatch = () => {
    const tokens = context.batches.at(-1)?.items.reduce((sum, item) => sum + item.tokens + 1, 0) ?? 0;
    clock.advance(tokens * tokenMs);
  };
  const cache = fakeKvCache(clock, budgetBytes, moveMs * ASSUMED_BYTES_PER_MS);
  const loop = new TickLoop({
    slots: Array.from({ length: slots }, (_, id) => new Slot(context.sequence(id))),
    queue: new FairQueue<RequestState>({ requests: 100, promptTokens: 1_000_000, background: 10 }),
    cost: new CostModel(tokenMs),
    cache,
    limits: { maxTickMs: 250, itlTargetMs: 100, batchTokens: 512, tileTokens: 1 },
    clock,
    flush: () => {},
    onFault: (error) => {
      throw error;
    },
  });
  void loop.start();
  type Changes = Partial<PreparedRequest> & { readonly length?: number };
  const begin = (client: string, changes: Changes = {}) => {
    const owned = { client, accountKey: client, conversation: "c", maxTokens: 3, ...changes };
    const prepared = preparedRequest(changes.length ?? 200, owned);
    const events = recordedEvents();
    const request = new RequestState(prepared, events, () => "x", clock.now());
    loop.submit(request);
    return { request, events };
  };
  const ask = async (client: string, changes: Changes = {}) => {
    const { request, events } = begin(client, changes);
    await until(() => isOver(events));
    return request.prepared;
  };
  return { context, clock, cache, loop, begin, ask };
}
