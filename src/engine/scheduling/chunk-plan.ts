import type { PromptPart } from "../estimates/prompt-cost.ts";

/**
 * What a step does of the prompts, as pure functions. Times are in milliseconds, lengths in tokens.
 */

/** A chunk is never shorter, save for the rest of a prompt: smaller ones cost nearly as much and prompts must not starve. */
export const MIN_CHUNK = 16;

/**
 * llama.cpp's attention on a CPU goes over tiles of so many tokens of one sequence (GGML_FA_TILE_Q in
 * ggml/src/ggml-cpu/common.h); a chunk that fills none is processed token by token, at up to twice the cost.
 */
export const CPU_TILE_TOKENS = 64;

// Tokens are processed once more from this many tiles on, since only attention gains, and where this share is saved.
const REFILL_TILES = 4;
const REFILL_GAIN = 0.1;

/** A prompt is begun behind another only if it fits, or if this share of the step would stay unused. */
const WORTH_A_PART = 0.5;

/** With prompts of this share of the slots behind the first one, the aim has loosened as far as it may. */
const FULL_PRESSURE_SHARE = 0.25;

export interface TickLimits {
  /** No step is longer, as far as the learned cost can tell. */
  readonly maxTickMs: number;
  /** Aim for a step while somebody generates and nobody waits. */
  readonly itlTargetMs: number;
  /** Prompt tokens that fit into a batch beside one token of every slot. */
  readonly batchTokens: number;
  /** From this length on, and at its multiples, a chunk is cheapest; 1: length makes no difference. */
  readonly tileTokens: number;
}

export interface StepCost {
  /** What each token of such a part adds. */
  promptTokenMsOf(part: PromptPart): number;
  stepMs(generating: number): number;
}

export interface Prefilling {
  readonly id: number;
  /** Tokens that may be processed now; ≥ 1. */
  readonly remaining: number;
  /** Tokens before them. */
  readonly depth: number;
  /** One token more, which draws, is processed with the last of them. */
  readonly draws: boolean;
}

export interface TickInput {
  /** Slots that generate. */
  readonly generating: number;
  /** Slots with prompt tokens left, in the order of service. */
  readonly prefilling: readonly Prefilling[];
  /** How many times as long as a step of those who generate the step may be at least, see `Demand`; ≥ 1. */
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
 * The prompt chunks of one step: the first prompt's, and as many whole ones more as the time allows. Every sequence of a
 * native pass has the same number of tokens, so each other length is a pass of its own.
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
    if (fits < 1 || (fits < prompt.remaining && fits < leastPart(prompt, target - base, cost, limits))) break;
    chunks.push({ id: prompt.id, tokens: fits });
    room -= fits;
    leftMs -= chunkMs(prompt, fits, cost);
  }
  return chunks;
}

/** A part of a prompt that is begun behind others: each other length is another pass, and a tile that would fit is not broken. */
function leastPart(prompt: Prefilling, ms: number, cost: StepCost, limits: TickLimits): number {
  const alone = affordable(prompt, ms, limits.batchTokens, cost, limits);
  const tile = alone >= limits.tileTokens ? limits.tileTokens : 0;
  return Math.max(MIN_CHUNK, tile, alone * WORTH_A_PART);
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
  const most = affordable(prompt, maxTickMs - base, batchTokens, cost, limits);
  const aimed = Math.min(affordable(prompt, target - base, batchTokens, cost, limits), most);
  // A prompt that is nearly done in this step is finished in it: one pass instead of two.
  if (remaining <= most && remaining <= aimed * 2) return remaining;
  const tile = prompt.draws && remaining === tileTokens - 1 ? remaining : tileTokens;
  if (tileTokens > MIN_CHUNK && aimed < tile && tile <= most) {
    // A tile may miss the aim by as much as it makes the prompt cheaper.
    const cheaper = shortTokenMs(prompt, tileTokens - 1, cost) / tokenMs(prompt, tile, cost);
    if (base + chunkMs(prompt, tile, cost) <= target * cheaper) return tile;
  }
  return Math.min(remaining, Math.max(aimed, MIN_CHUNK));
}

/** As many tokens of a prompt as `ms` and a batch allow: all, else whole tiles, else less than one. */
function affordable(
  prompt: Prefilling,
  ms: number,
  room: number,
  cost: StepCost,
  { tileTokens }: TickLimits,
): number {
  const most = Math.min(prompt.remaining, room);
  if (most < 1) return 0;
  if (most === prompt.remaining && chunkMs(prompt, most, cost) <= ms) return most;
  const tiled = Math.min(most, Math.floor(ms / tokenMs(prompt, Math.max(most, tileTokens), cost)));
  if (tiled >= tileTokens) return tiled - (tiled % tileTokens);
  // All of it was too much already, with the token that it may draw.
  const part = Math.min(prompt.remaining - 1, most, tileTokens - 1);
  return Math.max(0, Math.min(part, Math.floor(ms / shortTokenMs(prompt, part, cost))));
}

function tokenMs(prompt: Prefilling, tokens: number, cost: StepCost): number {
  const drawn = prompt.draws && tokens === prompt.remaining ? 1 : 0;
  return cost.promptTokenMsOf({ tokens: tokens + drawn, depth: prompt.depth });
}

/** Each of so many tokens that are not the last of the prompt. */
function shortTokenMs({ depth }: Prefilling, tokens: number, cost: StepCost): number {
  return cost.promptTokenMsOf({ tokens, depth });
}

function chunkMs(prompt: Prefilling, tokens: number, cost: StepCost): number {
  return tokens * tokenMs(prompt, tokens, cost);
}

/**
 * How many of the `kept` tokens of a prompt of `length` are best kept, beside so many that generate. Where what is left
 * fills no tile, it can be quicker to process some tokens once more and fill one; prompts with equally much left also share
 * a pass.
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
 * The aim between two tokens of those who generate loosens as others wait: prompt tokens in small chunks cost more,
 * and with a fixed aim the queue would grow without end.
 */
function targetMs(input: TickInput, base: number, { maxTickMs, itlTargetMs }: TickLimits): number {
  if (input.generating === 0) return maxTickMs;
  const least = Math.min(Math.max(itlTargetMs, base * input.stretch), maxTickMs);
  // Two prompts at a time are not a crowd.
  const others = Math.max(0, input.waiting + input.prefilling.length - 2);
  const pressure = Math.min(1, others / Math.max(1, input.slots * FULL_PRESSURE_SHARE));
  return least + (maxTickMs - least) * pressure;
}
