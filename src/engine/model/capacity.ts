import { freemem } from "node:os";

const CPU_SLOTS = 8;
const GPU_SLOTS = 32;
const AUTO_CONTEXT = 2048;
// KV may take this share of the memory that is free once the model is loaded.
const MEMORY_SHARE = 0.5;

/**
 * Threads for inference: one core is left to the gateway where there are more than two. More threads than cores cost
 * far more than too few. `mathCores`: physical cores as the native library counts them; 0 where unknown.
 */
export function autoThreads(cores: number, mathCores: number): number {
  const physical = mathCores > 0 ? Math.min(cores, mathCores) : cores;
  return physical <= 2 ? physical : physical - 1;
}

export function autoContextTokens(trainTokens: number): number {
  return Math.max(1, Math.min(trainTokens > 0 ? trainTokens : AUTO_CONTEXT, AUTO_CONTEXT));
}

/** As many slots as serve well on the device, and whose KV fits into a share of the free memory; at least 1. */
export function autoSlots(gpu: boolean, freeBytes: number, kvBytesPerSlot: number): number {
  const fitting = Math.floor((freeBytes * MEMORY_SHARE) / Math.max(1, kvBytesPerSlot));
  return Math.max(1, Math.min(gpu ? GPU_SLOTS : CPU_SLOTS, fitting));
}

/** Free memory in bytes: of the machine or of the container, whichever is less. */
export function freeMemory(): number {
  const limit = process.constrainedMemory();
  const inContainer = limit > 0 ? limit - process.memoryUsage.rss() : Number.POSITIVE_INFINITY;
  return Math.max(0, Math.min(freemem(), inContainer));
}

/** The parts of a GGUF's metadata that say how large its KV is. */
export interface AttentionShape {
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  /** One number for all layers, or one a layer. */
  readonly keyValueHeads: number | readonly number[];
  /** Values of a head; absent: width / heads. */
  readonly keyLength?: number | undefined;
  readonly valueLength?: number | undefined;
}

/** Bytes of KV a token takes in half precision. */
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
