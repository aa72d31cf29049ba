import type { Prefilling } from "../scheduling/chunk-plan.ts";
import type { PreparedRequest } from "../ports.ts";
import { LruCache } from "../../core/lru-cache.ts";

/** A slot whose prompt is being processed. */
export interface PrefillingSlot {
  readonly id: number;
  readonly length: number;
  /** Prompt tokens left. */
  readonly remaining: number;
  /** What these were at first, see `Slot`. */
  readonly work: number;
  /** Nobody waits for it: no token after them draws. */
  readonly background: boolean;
  /** It gave up the end of what it had, to process that once more: see {@link Slot.refills}. */
  readonly refills: boolean;
  readonly request: Pick<PreparedRequest, "sharedKey" | "sharedTokens">;
}

/** What of it may be processed now. */
export interface PromptLimit extends Prefilling {
  readonly work: number;
  readonly background: boolean;
}

/** The least number of tokens that is worth a state of its own. */
export const MIN_STATE_TOKENS = 64;
const REMEMBERED = 256;

interface Prefix {
  requests: number;
  /** It could not be stored; no slot waits for it. */
  refused: boolean;
}

/**
 * The beginning that all prompts with the same system text share is processed in one slot, up to its exact end, so
 * that its state can be stored without a token of a client; other slots wait and load it. Pure but for its memory.
 */
export class SharedPrefixes {
  readonly #seen = new LruCache<string, Prefix>(REMEMBERED);

  /** A request has come. A text that only one request had is not worth a state. */
  note({ sharedKey, sharedTokens }: PreparedRequest): void {
    if (sharedTokens < MIN_STATE_TOKENS) return;
    const prefix = this.#seen.get(sharedKey);
    if (prefix) prefix.requests++;
    else this.#seen.set(sharedKey, { requests: 1, refused: false });
  }

  refuse(sharedKey: string): void {
    const prefix = this.#seen.get(sharedKey);
    if (prefix) prefix.refused = true;
  }

  /** Whether its state should be stored. */
  wanted({ sharedKey, sharedTokens }: PrefillingSlot["request"]): boolean {
    const prefix = sharedTokens >= MIN_STATE_TOKENS ? this.#seen.get(sharedKey) : undefined;
    return prefix !== undefined && prefix.requests > 1 && !prefix.refused;
  }

  /**
   * How many tokens each slot may process now, in the order of service; slots that wait for a state are left out.
   * `stored`: length of the stored state of a prefix that is worth loading into this slot.
   */
  limits(
    slots: readonly PrefillingSlot[],
    stored: (slot: PrefillingSlot) => number | undefined,
  ): PromptLimit[] {
    const led = new Set<string>();
    const limits: PromptLimit[] = [];
    for (const slot of slots) {
      const { request, length, id, work, background } = slot;
      const draws = !background;
      const { sharedKey, sharedTokens } = request;
      if (length >= sharedTokens || slot.refills || !this.wanted(request))
        limits.push({ id, remaining: slot.remaining, depth: length, draws, work, background });
      else if (stored(slot) === undefined && !led.has(sharedKey)) {
        led.add(sharedKey);
        const own = sharedTokens - length;
        const remaining = Math.min(slot.remaining, own);
        limits.push({
          id,
          remaining,
          depth: length,
          draws: draws && slot.remaining <= own,
          work,
          background,
        });
      }
    }
    return limits.filter(({ remaining }) => remaining > 0);
  }
}
