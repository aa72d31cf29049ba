import { parseArgs } from "node:util";
import type { LlamaContextSequence, Token } from "node-llama-cpp";
import { usableCores } from "../../../src/core/usable-cores.ts";
import { autoThreads } from "../../../src/engine/model/capacity.ts";
import { tableLines } from "../../support/table.ts";
import { spreadOf, type Spread } from "../harness/statistics.ts";
import type { Model } from "./chat-target.ts";
import { openCpuModel } from "./cpu-model.ts";
import { findModel } from "./models.ts";
import { countOf } from "./options.ts";
import { spreadText } from "./report.ts";

export interface LockStepOptions {
  readonly model: Model;
  readonly threads: number;
  /** Numbers of concurrent chats to measure. */
  readonly chats: readonly number[];
  readonly rounds: number;
  /** Tokens of each prompt. */
  readonly promptTokens: number;
}

/** All times are in milliseconds. */
export interface LockStepResult {
  /** One pass that generates a token for each of `chats` chats. */
  readonly passes: readonly { readonly chats: number; readonly ms: Spread }[];
  /** One pass that generates a token for one chat. */
  readonly single: Spread;
  /** Prefill time per token of a prompt that is processed alone. */
  readonly promptToken: Spread;
}

/** Single passes per round. Several, because all other figures are compared with this one. */
const SINGLES = 4;

/**
 * Measures what a token costs in a pass shared by all chats and in a pass of its own. A pass is a whole pass of
 * node-llama-cpp including sampling. Each round measures every kind once; the first round is a warm-up.
 */
export async function measureLockStep(options: LockStepOptions): Promise<LockStepResult> {
  const model = await openModel(options);
  const together = options.chats.map((): number[] => []);
  const single: number[] = [];
  const promptToken: number[] = [];
  try {
    for (let round = 0; round <= options.rounds; round++) {
      const record = (list: number[] | undefined, ms: number): void => void (round > 0 && list?.push(ms));
      for (const [index, count] of options.chats.entries()) {
        record(together[index], await timed(() => model.pass(0, count)));
      }
      for (let pass = 0; pass < SINGLES; pass++) {
        const which = (round * SINGLES + pass) % Math.max(...options.chats);
        record(single, await timed(() => model.pass(which, which + 1)));
      }
      record(promptToken, (await timed(() => model.prompt())) / options.promptTokens);
    }
  } finally {
    await model.close();
  }
  return {
    passes: options.chats.map((chats, index) => ({ chats, ms: spreadOf(together[index] ?? []) })),
    single: spreadOf(single),
    promptToken: spreadOf(promptToken),
  };
}

interface OpenModel {
  /** Generates a token for each of the chats `from` to `to` - 1. */
  pass(from: number, to: number): Promise<unknown>;
  /** Processes a prompt in a separate sequence. */
  prompt(): Promise<void>;
  close(): Promise<void>;
}

/** Loads the model with enough chats for the largest figure, each with its prompt already processed. */
async function openModel(options: LockStepOptions): Promise<OpenModel> {
  const { chats, rounds, promptTokens, threads } = options;
  const maxChats = Math.max(...chats);
  const model = await openCpuModel(options.model.path, threads);
  const context = await model.createContext({
    sequences: maxChats + 1,
    contextSize: promptTokens + (rounds + 1) * (chats.length + SINGLES),
    batchSize: Math.max(maxChats, promptTokens),
    threads,
  });
  const words = model.tokenize("one two three four five six seven eight nine ten ");
  const prompt = Array.from({ length: promptTokens }, (_, index) => words[index % words.length] as Token);
  const sequences = Array.from({ length: maxChats }, () => context.getSequence());
  const spare = context.getSequence();
  for (const sequence of sequences) await sequence.evaluateWithoutGeneratingNewTokens(prompt);
  const draw = (sequence: LlamaContextSequence) =>
    sequence.controlledEvaluate([[words[0] as Token, { generateNext: { token: true } }]]);
  return {
    pass: (from, to) => Promise.all(sequences.slice(from, to).map(draw)),
    async prompt() {
      await spare.clearHistory();
      await spare.evaluateWithoutGeneratingNewTokens(prompt);
    },
    close: () => model.dispose(),
  };
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await work();
  return performance.now() - begin;
}

/**
 * Speed-up of `chats` answers, prompts included, if their tokens share passes of `passMs` instead of having a pass
 * each. This is the most that lock step can gain over free-running loops.
 */
export function mostToWin(
  chats: number,
  passMs: number,
  { single, promptToken }: Pick<LockStepResult, "single" | "promptToken">,
  { promptTokens, answerTokens }: { promptTokens: number; answerTokens: number },
): number {
  const prompt = promptTokens * promptToken.median;
  return (prompt + answerTokens * single.median) / (prompt + (answerTokens * passMs) / chats);
}

/** `npm run bench -- lock-step`. @returns the exit code. */
export async function lockStepBench(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      model: { type: "string", default: "tinyllama-shape" },
      chats: { type: "string", default: "2,4,8,16,32" },
      rounds: { type: "string", default: "9" },
      prompt: { type: "string", default: "100" },
      answer: { type: "string", default: "64" },
    },
  });
  const options = {
    model: await findModel(values.model),
    threads: autoThreads(usableCores(), 0),
    chats: values.chats.split(",").map((text) => countOf("chats", text)),
    rounds: countOf("rounds", values.rounds),
    promptTokens: countOf("prompt", values.prompt),
    answerTokens: countOf("answer", values.answer),
  };
  const result = await measureLockStep(options);
  const { passes, single, promptToken } = result;
  console.log(`${options.model.name}, ${options.threads} threads, medians of ${options.rounds} rounds`);
  console.log(
    `one pass for one chat: ${spreadText(single)} ms; one prompt token: ${spreadText(promptToken)} ms; ` +
      `"answers" assumes ${options.answerTokens} tokens per answer and ${options.promptTokens} per prompt\n`,
  );
  const rows = passes.map(({ chats, ms }) => [
    String(chats),
    spreadText(ms),
    (single.median * chats).toFixed(1),
    ((single.median * chats) / ms.median).toFixed(2),
    mostToWin(chats, ms.median, result, options).toFixed(2),
  ]);
  const head = [
    "chats",
    "shared pass, ms",
    "separate passes, ms",
    "speed-up of tokens",
    "speed-up of answers",
  ];
  for (const line of tableLines([head, ...rows])) console.log(line);
  return 0;
}
