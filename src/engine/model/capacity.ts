import { freemem } from "node:os";

/** Upper bounds of the computed number of slots, by device. */
const CPU_SLOTS = 8;
const GPU_SLOTS = 32;
/** Upper bound of the computed window, in tokens. */
const AUTO_CONTEXT = 2048;
/** Share of the memory free after loading the model that the KV may take. */
const MEMORY_SHARE = 0.5;

/**
 * Number of threads for inference. With more than two cores, one is left to the gateway: more threads than cores cost
 * far more than too few.
 *
 * @param mathCores physical cores as the native library counts them; 0 when unknown
 */
export function autoThreads(cores: number, mathCores: number): number {
  const physical = mathCores > 0 ? Math.min(cores, mathCores) : cores;
  return physical <= 2 ? physical : physical - 1;
}

/** Window of a slot in tokens: that of the model, within an upper bound. `trainTokens`: 0 when unknown. */
export function autoContextTokens(trainTokens: number): number {
  return Math.max(1, Math.min(trainTokens > 0 ? trainTokens : AUTO_CONTEXT, AUTO_CONTEXT));
}

/** Number of slots that suits the device and whose KV fits a share of the free memory; at least 1. */
export function autoSlots(gpu: boolean, freeBytes: number, kvBytesPerSlot: number): number {
  const fitting = Math.floor((freeBytes * MEMORY_SHARE) / Math.max(1, kvBytesPerSlot));
  return Math.max(1, Math.min(gpu ? GPU_SLOTS : CPU_SLOTS, fitting));
}

/** Free memory in bytes, of the machine or of the container, whichever is less. */
export function freeMemory(): number {
  const limit = process.constrainedMemory();
  const inContainer = limit > 0 ? limit - process.memoryUsage.rss() : Number.POSITIVE_INFINITY;
  return Math.max(0, Math.min(freemem(), inContainer));
}

/** The GGUF metadata that determines the size of the KV. */
export interface AttentionShape {
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  /** One number for all layers, or one number per layer. */
  readonly keyValueHeads: number | readonly number[];
  /** Length of a key in one head. Absent: width / heads. */
  readonly keyLength?: number | undefined;
  /** Length of a value in one head. Absent: width / heads. */
  readonly valueLength?: number | undefined;
}

/** Bytes of KV per token in half precision: 2 for each number in the keys and values of all layers. */
export function kvBytesPerToken(shape: AttentionShape): number {
  const head = shape.heads > 0 ? shape.width / shape.heads : 0;
  const perHead = (shape.keyLength ?? head) + (shape.valueLength ?? head);
  const { keyValueHeads } = shape;
  const heads =
    typeof keyValueHeads === "number"
      ? keyValueHeads * shape.layers
      : keyValueHeads.reduce((sum, count) => sum + count, 0);
  return heads * perHead * 2;
}
