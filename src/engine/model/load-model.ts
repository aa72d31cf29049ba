import { basename } from "node:path";
import {
  getLlama,
  LlamaLogLevel,
  type CustomBatchingPrioritizationStrategy,
  type Llama,
  type LlamaContext,
  type LlamaModel,
} from "node-llama-cpp";
import { autoContextTokens, autoSlots, autoThreads, freeMemory, kvBytesPerToken } from "./capacity.ts";
import { usableCores } from "../../core/usable-cores.ts";
import { chatTemplate } from "./templates/chat-template.ts";
import { markerBreaker } from "./role-markers.ts";
import { markersOfModel } from "./template-markers.ts";
import type { EngineSequence, LongWorkScope } from "../ports.ts";
import { installedGpuKinds, LibraryUnavailable, type GpuKind } from "./gpu-binaries.ts";
import { GrammarCache } from "./grammar-cache.ts";
import { singleStreamThreads, type UseThreads } from "./single-stream-threads.ts";
import { NativeSequence } from "./native-sequence.ts";
import type { PromptTemplate } from "./templates/prompt-template.ts";
import { PromptBuilder } from "./prompt-builder.ts";
import { TextTokenizer } from "./text-tokenizer.ts";
import type { Detokenize } from "../generation/whole-characters.ts";
import { answerDetokenizer } from "./answer-detokenizer.ts";
import type { EngineSettings } from "../../engine-wire/control.ts";
import type { EngineInfo } from "../../engine-wire/engine-status.ts";

/** Upper bound of the prompt tokens in one step, besides one token for each slot. */
export const PREFILL_TOKENS = 512;
/** Prompt tokens of a warm-up round. */
const WARM_UP_TOKENS = 32;

export interface LoadedModel {
  readonly info: EngineInfo;
  /** In ascending order of id. */
  readonly sequences: readonly EngineSequence[];
  readonly prompts: PromptBuilder;
  readonly detokenize: Detokenize;
  /** Time to process one prompt token, measured while loading, in milliseconds. */
  readonly promptTokenMs: number;
  /**
   * Whether the end of a sequence can be erased. A recurrent model has one running state of all its text and cannot.
   */
  readonly erasable: boolean;
  /** Sets the number of threads for a step with this many sequences and prompt tokens or guesses. */
  prepareStep(sequences: number, promptTokens: number): void;
}

/** The library cannot load a file. The message is the library's own; its log lines have the cause. */
export class ModelFileError extends Error {}

/** Loads the model and creates its context. @throws ModelFileError; LibraryUnavailable; Error that explains what to fix */
export async function loadModel(
  settings: EngineSettings,
  longWork: LongWorkScope = { during: (work) => work() },
): Promise<LoadedModel> {
  const from = performance.now();
  const notes: string[] = [];
  const llama = await openLlama(settings, notes);
  const threads = settings.threads ?? autoThreads(usableCores(), llama.cpuMathCores);
  llama.maxThreads = threads;
  const model = await openModel(llama, settings.modelPath);
  const size = await sizeOf(settings, llama, model, notes);
  const context = await openContext(model, size.slots, size.contextTokens, threads);
  const vocabularySize = model.fileInfo.metadata.tokenizer.ggml.tokens.length;
  const sequences = Array.from({ length: size.slots }, (_, id) => {
    return new NativeSequence(id, context.getSequence({ contextShift: refuseShift }), vocabularySize);
  });
  const { template, note } = chatTemplate(settings.template, model, now);
  if (note !== undefined) notes.push(note);
  const prompts = new PromptBuilder({
    model,
    tokenizer: new TextTokenizer(model),
    template,
    breakMarkers: markerBreaker(markersOfModel(model, template, settings.roleMarkers)),
    grammars: new GrammarCache(llama, model, longWork),
    contextTokens: size.contextTokens,
    sampling: settings.sampling,
    now,
  });
  const promptTokenMs = await warmUp(sequences[0], model);
  const useThreads = (count: number): void => {
    if (llama.maxThreads !== count) llama.maxThreads = count;
  };
  const threadsForOne =
    llama.gpu === false ? await measureThreadsForOne(sequences[0], model, threads, useThreads) : threads;
  return {
    info: {
      ...describe(settings, model, template),
      ...(await describeGpu(llama)),
      ...size,
      threads,
      kvBytes: kvBytesPerToken(shapeOf(model)) * context.contextSize * size.slots,
      loadMs: Math.round(performance.now() - from),
      notes,
    },
    sequences,
    erasable: sequences.every(({ erasable }) => erasable),
    prompts,
    detokenize: answerDetokenizer(model),
    promptTokenMs,
    prepareStep: (stepSequences, promptTokens) =>
      useThreads(stepSequences === 1 && promptTokens === 0 ? threadsForOne : threads),
  };
}

/** Best number of threads for a step of one sequence. */
async function measureThreadsForOne(
  sequence: EngineSequence | undefined,
  model: LlamaModel,
  threads: number,
  use: UseThreads,
): Promise<number> {
  const [token] = model.tokenize("a", false);
  if (!sequence || token === undefined) return threads;
  const best = await singleStreamThreads(sequence, token, threads, use);
  await sequence.truncate(0);
  return best;
}

function describe(settings: EngineSettings, model: LlamaModel, template: PromptTemplate) {
  return {
    modelName: settings.modelName || basename(settings.modelPath),
    modelDescription: descriptionOf(model),
    modelBytes: model.size,
    template: template.name,
  };
}

async function describeGpu(llama: Llama) {
  return {
    gpu: llama.gpu,
    gpuDevices: llama.gpu === false ? [] : await llama.getGpuDeviceNames(),
  };
}

/** Architecture, size and quantisation. The label in the file is preferred to the size that llama.cpp infers. */
function descriptionOf(model: LlamaModel): string {
  const [architecture = "", size = "", ...quantisation] = model.typeDescription.split(" ");
  return [architecture, model.fileInfo.metadata.general.size_label ?? size, ...quantisation].join(" ");
}

async function openLlama(settings: EngineSettings, notes: string[]): Promise<Llama> {
  const { gpu } = settings;
  if (gpu === "off") return cpuBindings();
  if (gpu !== "auto") {
    try {
      return await bindings(gpu);
    } catch (cause) {
      throw new LibraryUnavailable(
        `GPU=${gpu} cannot be used: ${messageOf(cause)}. Install its binaries with "npm run gpu", check the driver, ` +
          "or set GPU=auto.",
        { cause },
      );
    }
  }
  for (const kind of installedGpuKinds()) {
    try {
      return await bindings(kind);
    } catch (error) {
      notes.push(`The ${kind} binaries are installed but do not work on this machine (${messageOf(error)}).`);
    }
  }
  return cpuBindings();
}

async function cpuBindings(): Promise<Llama> {
  try {
    return await bindings(false);
  } catch (cause) {
    throw new LibraryUnavailable(
      `The llama.cpp library cannot be used on this machine: ${messageOf(cause)}. Install it again with "npm ci".`,
      { cause },
    );
  }
}

/** Loads prebuilt bindings. Never builds from source and never downloads. */
function bindings(gpu: GpuKind | false): Promise<Llama> {
  return getLlama({
    gpu,
    build: "never",
    skipDownload: true,
    progressLogs: false,
    logLevel: LlamaLogLevel.error,
    logger: (_level, message) => process.stderr.write(`${message.trimEnd()}\n`),
    maxThreads: 0,
  });
}

async function openModel(llama: Llama, modelPath: string): Promise<LlamaModel> {
  try {
    return await llama.loadModel({ modelPath });
  } catch (cause) {
    throw new ModelFileError(messageOf(cause), { cause });
  }
}

async function sizeOf(settings: EngineSettings, llama: Llama, model: LlamaModel, notes: string[]) {
  const trained = model.trainContextSize;
  const contextTokens = settings.contextTokens ?? autoContextTokens(trained);
  if (contextTokens > trained) {
    notes.push(
      `The window of ${contextTokens} tokens is longer than the ${trained} tokens the model was trained on.`,
    );
  }
  const perSlot = kvBytesPerToken(shapeOf(model)) * contextTokens;
  const free = llama.gpu === false ? freeMemory() : (await llama.getVramState()).free;
  if (settings.slots !== undefined) return { contextTokens, slots: settings.slots };
  const slots = autoSlots(llama.gpu !== false, free, perSlot);
  return { contextTokens, slots, autoFromBytes: free };
}

function shapeOf(model: LlamaModel) {
  const meta = model.fileInfo.architectureMetadata;
  const heads = meta.attention?.head_count ?? 0;
  return {
    layers: meta.block_count ?? 0,
    width: meta.embedding_length ?? 0,
    heads,
    keyValueHeads: meta.attention?.head_count_kv ?? heads,
    keyLength: meta.attention?.key_length,
    valueLength: meta.attention?.value_length,
  };
}

async function openContext(
  model: LlamaModel,
  slots: number,
  contextTokens: number,
  threads: number,
): Promise<LlamaContext> {
  try {
    return await model.createContext({
      sequences: slots,
      contextSize: contextTokens,
      batchSize: slots + PREFILL_TOKENS,
      threads,
      // Fail instead of silently creating a smaller context.
      failedCreationRemedy: false,
      batching: { itemPrioritizationStrategy: batchEqualLengths },
    });
  } catch (cause) {
    throw new Error(
      `There is not enough memory for ${slots} slots of ${contextTokens} tokens: ${messageOf(cause)}. Lower LOCAL_SLOTS or LOCAL_CONTEXT_SIZE.`,
      { cause },
    );
  }
}

/**
 * Batches items of equal length. llama.cpp gives each sequence of a pass the same number of tokens. In a mixed batch it
 * would process one prompt token with the generating sequences, and the other 63 of a chunk of 64 would no longer fill
 * a tile of the attention. The loop never queues more than a batch holds, so each item is processed whole.
 */
const batchEqualLengths: CustomBatchingPrioritizationStrategy = ({ items, size }) => {
  const length = items[0]?.tokens.length;
  let left = size;
  return items
    .filter((item) => item.tokens.length === length)
    .map((item) => {
      const processAmount = Math.min(left, item.tokens.length);
      left -= processAmount;
      return { item, processAmount };
    });
};

/** Fails when the window is full. The library's default silently drops the beginning of the prompt, the system text. */
const refuseShift = {
  strategy: (): never => {
    throw new Error("the window is full");
  },
};

/** Pages the weights in. @returns a first estimate of the time per prompt token, in milliseconds. */
async function warmUp(sequence: EngineSequence | undefined, model: LlamaModel): Promise<number> {
  if (!sequence) return 1;
  const [token] = model.tokenize("a", false);
  const tokens = Array.from({ length: WARM_UP_TOKENS }, () => token ?? 0);
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 2; round++) {
    await sequence.truncate(0);
    const from = performance.now();
    await sequence.prefill(tokens);
    best = Math.min(best, performance.now() - from);
  }
  await sequence.truncate(0);
  return best / WARM_UP_TOKENS;
}

function now(): Date {
  return new Date();
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
