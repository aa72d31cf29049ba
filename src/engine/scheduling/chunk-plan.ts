import type { PromptPart } from "../estimates/prompt-cost.ts";

/**
 * Plans which prompt tokens a step processes. Pure functions; times are in milliseconds, lengths in tokens.
 */

/** Shortest chunk, except for the end of a prompt. Smaller chunks cost nearly as much, and no prompt may starve. */
export const MIN_CHUNK = 16;

/**
 * Tokens per tile of one sequence in llama.cpp's attention on a CPU (GGML_FA_TILE_Q in ggml/src/ggml-cpu/common.h). A
 * chunk that fills no tile is processed token by token, at up to twice the cost.
 */
export const CPU_TILE_TOKENS = 64;

/** Shortest prompt, in tiles, that is processed again in part to fill a tile, which makes only attention cheaper. */
const REFILL_TILES = 4;
/** Smallest share of the time that must be saved by processing tokens again. */
const REFILL_GAIN = 0.1;

/** Smallest part of a prompt that is begun behind others, as a share of what a whole step could process of it. */
const MIN_PART_SHARE = 0.5;

/** Share of the slots: with this many requests waiting or prefilling beyond two, the target reaches `maxTickMs`. */
const FULL_PRESSURE_SHARE = 0.25;

export interface TickLimits {
  /** Longest step, as far as the learned cost predicts it. */
  readonly maxTickMs: number;
  /** Target for a step while a slot generates and no request waits. */
  readonly itlTargetMs: number;
  /** Prompt tokens that fit into a batch beside one token of every slot. */
  readonly batchTokens: number;
  /** Tokens per tile: chunks of this length or a multiple of it are cheapest. 1: length makes no difference. */
  readonly tileTokens: number;
}

export interface StepCost {
  /** Milliseconds that each token of this part adds to a step. */
  promptTokenMsOf(part: PromptPart): number;
  /** Milliseconds of a step with this many generating slots and no prompts. */
  stepMs(generating: number): number;
}

/** A slot whose prompt is being processed. */
export interface Prefilling {
  readonly id: number;
  /** Prompt tokens that may be processed now; ≥ 1. */
  readonly remaining: number;
  /** Tokens before them. */
  readonly depth: number;
  /** Whether one more token, which draws, is processed together with the last of them. */
  readonly draws: boolean;
}

export interface TickInput {
  /** Slots that generate. */
  readonly generating: number;
  /** Slots with prompt tokens left, in the order of service. */
  readonly prefilling: readonly Prefilling[];
  /** Lower bound of the target, as a multiple of a step without prompts, see `Demand`; ≥ 1. */
  readonly stretch: number;
  /** Requests without a slot. */
  readonly waiting: number;
  readonly slots: number;
}

export interface Chunk {
  readonly id: number;
  readonly tokens: number;
}

/**
 * Plans the prompt chunks of one step: a chunk of the first prompt, then as many further prompts as the time allows.
 * All sequences of a native pass have the same number of tokens, so each other length is a pass of its own.
 */
export function planChunks(input: TickInput, cost: StepCost, limits: TickLimits): Chunk[] {
  const [first, ...others] = input.prefilling;
  if (!first) return [];
  const base = cost.stepMs(input.generating);
  const target = targetMs(input, base, limits);
  const tokens = firstChunk(first, base, target, cost, limits);
  const chunks: Chunk[] = [{ id: first.id, tokens }];
  let room = limits.batchTokens - tokens;
  let leftMs = target - base - chunkMs(first, tokens, cost);
  for (const prompt of others) {
    const fits = affordable(prompt, leftMs, room, cost, limits);
    if (fits < 1 || (fits < prompt.remaining && fits < minPart(prompt, target - base, cost, limits))) break;
    chunks.push({ id: prompt.id, tokens: fits });
    room -= fits;
    leftMs -= chunkMs(prompt, fits, cost);
  }
  return chunks;
}

/**
 * Smallest part of a prompt that may begin behind others: it costs a pass, and must not split a tile that would fit.
 */
function minPart(prompt: Prefilling, ms: number, cost: StepCost, limits: TickLimits): number {
  const alone = affordable(prompt, ms, limits.batchTokens, cost, limits);
  const tile = alone >= limits.tileTokens ? limits.tileTokens : 0;
  return Math.max(MIN_CHUNK, tile, alone * MIN_PART_SHARE);
}

function firstChunk(
  prompt: Prefilling,
  base: number,
  target: number,
  cost: StepCost,
  limits: TickLimits,
): number {
  const { maxTickMs, batchTokens, tileTokens } = limits;
  const { remaining } = prompt;
  const max = affordable(prompt, maxTickMs - base, batchTokens, cost, limits);
  const aimed = Math.min(affordable(prompt, target - base, batchTokens, cost, limits), max);
  // Finishing a prompt that would nearly be done saves a second pass.
  if (remaining <= max && remaining <= aimed * 2) return remaining;
  const tile = prompt.draws && remaining === tileTokens - 1 ? remaining : tileTokens;
  if (tileTokens > MIN_CHUNK && aimed < tile && tile <= max) {
    // A tile may exceed the target by the factor by which it makes the prompt cheaper.
    const cheaper = shortTokenMs(prompt, tileTokens - 1, cost) / tokenMs(prompt, tile, cost);
    if (base + chunkMs(prompt, tile, cost) <= target * cheaper) return tile;
  }
  return Math.min(remaining, Math.max(aimed, MIN_CHUNK));
}

/** Most tokens of a prompt that fit into `ms` and `room`: all of them, else whole tiles, else less than a tile. */
function affordable(
  prompt: Prefilling,
  ms: number,
  room: number,
  cost: StepCost,
  { tileTokens }: TickLimits,
): number {
  const max = Math.min(prompt.remaining, room);
  if (max < 1) return 0;
  if (max === prompt.remaining && chunkMs(prompt, max, cost) <= ms) return max;
  const tiled = Math.min(max, Math.floor(ms / tokenMs(prompt, Math.max(max, tileTokens), cost)));
  if (tiled >= tileTokens) return tiled - (tiled % tileTokens);
  // The whole prompt, with the token that draws, did not fit.
  const part = Math.min(prompt.remaining - 1, max, tileTokens - 1);
  return Math.max(0, Math.min(part, Math.floor(ms / shortTokenMs(prompt, part, cost))));
}

/** Cost of each of the next `tokens`; where they end the prompt, the token that draws is part of their chunk. */
function tokenMs(prompt: Prefilling, tokens: number, cost: StepCost): number {
  const drawn = prompt.draws && tokens === prompt.remaining ? 1 : 0;
  return cost.promptTokenMsOf({ tokens: tokens + drawn, depth: prompt.depth });
}

/** Cost of each of the next `tokens` where these do not end the prompt. */
function shortTokenMs({ depth }: Prefilling, tokens: number, cost: StepCost): number {
  return cost.promptTokenMsOf({ tokens, depth });
}

function chunkMs(prompt: Prefilling, tokens: number, cost: StepCost): number {
  return tokens * tokenMs(prompt, tokens, cost);
}

/**
 * Returns how many of the `kept` KV tokens of a prompt of `length` are best kept, beside `generating` slots. Where
 * the rest of the prompt fills no tile, it can be quicker to process some tokens again and fill one. Prompts with
 * rests of equal length also share a pass.
 */
export function tokensToKeep(
  { length, kept, generating }: { length: number; kept: number; generating: number },
  cost: StepCost,
  limits: TickLimits,
): number {
  const { tileTokens, maxTickMs } = limits;
  const left = length - kept;
  if (left < 1 || left >= tileTokens || length < REFILL_TILES * tileTokens) return kept;
  const tileDepth = length - tileTokens;
  const tileMs = tileTokens * cost.promptTokenMsOf({ tokens: tileTokens, depth: tileDepth });
  const shortMs = left * cost.promptTokenMsOf({ tokens: left, depth: kept });
  const fits = cost.stepMs(generating) + tileMs <= maxTickMs;
  return fits && tileMs < (1 - REFILL_GAIN) * shortMs ? tileDepth : kept;
}

/**
 * Target for the length of the step. It loosens as requests wait: prompt tokens cost more in small chunks, and with a
 * fixed target the queue could grow without end.
 */
function targetMs(input: TickInput, base: number, { maxTickMs, itlTargetMs }: TickLimits): number {
  if (input.generating === 0) return maxTickMs;
  const minMs = Math.min(Math.max(itlTargetMs, base * input.stretch), maxTickMs);
  // Two prompts at a time do not loosen the target.
  const others = Math.max(0, input.waiting + input.prefilling.length - 2);
  const pressure = Math.min(1, others / Math.max(1, input.slots * FULL_PRESSURE_SHARE));
  return minMs + (maxTickMs - minMs) * pressure;
}
